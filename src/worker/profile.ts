/** Where the time of a training step goes on the user's own GPU. Loaded only when asked for. */
import { Rng } from '../core/rng.ts';
import type { Batch } from '../core/types.ts';
import { profile } from '../gpu/profile.ts';
import { ceilings } from '../kernels/ceilings.ts';
import { LORA_TARGETS } from '../model/lora.ts';
import { Trainer } from '../train/trainer.ts';
import type { Context } from './context.ts';
import { PRIORITY } from './gate.ts';
import type { Models } from './models.ts';
import type { ParamsOf, StepProfile } from './protocol.ts';
import { buildModel } from './stored-model.ts';

const OPTIM = { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0, clip: 1 } as const;
const LORA = { r: 8, alpha: 16, targets: LORA_TARGETS };

/**
 * One step on a copy that nobody keeps: sixteen short rows on all weights, as the recipes have them, or one of 128 tokens on an
 * adapter where the weights are frozen.
 */
export async function profileStep(
  ctx: Context,
  models: Models,
  { nodeId }: ParamsOf<'profile'>,
  signal: AbortSignal,
): Promise<StepProfile> {
  const stored = await models.read(await ctx.node(nodeId));
  const { opened } = stored.bottom;
  const frozen = opened !== undefined && opened.kept !== 'copy';
  const lora = frozen ? LORA : null;
  const batch = frozen ? rows(1, 128, stored.config) : rows(16, 24, stored.config);
  const tokens = batch.reduce((n, row) => n + row.ids.length, 0);
  const measure = async (): Promise<StepProfile> => {
    const most = await ceilings(ctx.gpu);
    const { built, trainer } = await models.on(stored, !frozen, (base) => {
      const built = buildModel(ctx.gpu, stored, base, { lora, seed: 'profile' });
      const trainer = new Trainer(built.model, OPTIM, { maxTokens: tokens, maxLabels: tokens });
      return { built, trainer };
    });
    try {
      await trainer.step([batch], 1e-4);
      await trainer.flush();
      return { ...(await profile(ctx.gpu, trainer.programs)), ceilings: most, rows: batch.length, tokens };
    } finally {
      trainer.destroy();
      built.destroy();
    }
  };
  return ctx.gate.run(PRIORITY.evaluation, measure, signal);
}

function rows(
  count: number,
  length: number,
  config: { vocab_size: number; max_position_embeddings: number },
): Batch {
  const rng = new Rng('profile');
  return Array.from({ length: count }, () => {
    const size = Math.min(length, config.max_position_embeddings);
    const ids = Array.from({ length: size }, () => rng.int(config.vocab_size));
    return { ids, labels: ids };
  });
}
