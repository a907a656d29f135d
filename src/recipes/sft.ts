/**
 * Supervised fine-tuning: minimise the mean of -log p(answer token | prompt, answer so far) over the batch's answer
 * tokens; the prompt is masked. One forward, one backward, one AdamW update.
 */
import type { StepFn } from '../train/session.ts';

export const sftStep: StepFn = ({ trainer, next, lr }) => trainer.step([next()], lr);
