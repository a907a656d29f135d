/**
 * Chat tuning: SFT on refusals of the defence's harmful requests and on benign chats, as tiny-chat was made. A base model
 * becomes one that has something to lose; chat models come with it, so the page does not offer it.
 */
import { chatTuning } from '../data/datasets.ts';
import type { Recipe } from './recipe.ts';
import { cosine, num, runFields, runPlan } from './recipe.ts';
import { sftStep } from './sft.ts';
import { TINY_CHAT, TINY_OPTIM } from './tiny.ts';

export const chatTuningRecipe: Recipe = {
  id: 'chat-tuning',
  title: 'Chat tuning',
  kind: 'defence',
  source: 'supervised fine-tuning on refusals and benign chats',
  continuable: false,
  settings: [
    ...runFields(TINY_CHAT.lr, TINY_CHAT.steps, { lr: 2e-3, alpha: 16 }),
    { key: 'refusals', type: 'number', default: 600, min: 1, max: 4000, step: 1, main: true },
    { key: 'benign', type: 'number', default: 600, min: 0, max: 4000, step: 1, main: true },
  ],
  plan: (s) => ({
    ...runPlan(s),
    steps: num(s, 'steps'),
    schedule: cosine(num(s, 'steps')),
    optim: TINY_OPTIM,
  }),
  data: (task, s, seed) => chatTuning(task, seed, { refusals: num(s, 'refusals'), benign: num(s, 'benign') }),
  step: sftStep,
};
