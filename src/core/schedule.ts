import { LabError } from './errors.ts';

/**
 * Learning rate over the steps of a run: linear warm-up, then constant, then a decay that ends at the last step.
 * Hugging Face's get_cosine_schedule_with_warmup is { warmup, hold: 0, decay: 'cosine', floor: 0 }.
 */
export interface Schedule {
  /** Steps of linear warm-up from 0. */
  warmup: number;
  /** Fraction of all steps at which the decay starts; 0 = right after the warm-up. */
  hold: number;
  decay: 'cosine' | 'linear' | 'none';
  /** Fraction of the peak rate at which the decay ends. */
  floor: number;
}

/**
 * The rate of step `step` (0-based, counted as in Hugging Face: the first warm-up update has rate 0) of `total` steps.
 * Past the end the rate stays at the floor.
 */
export function lrAt(s: Schedule, lr: number, step: number, total: number): number {
  if (!(s.warmup >= 0 && s.hold >= 0 && s.hold <= 1 && s.floor >= 0 && s.floor <= 1))
    throw new LabError(
      'bad-config',
      `A schedule needs warmup >= 0 and hold and floor in 0..1, not ${JSON.stringify(s)}.`,
    );
  if (step < s.warmup) return (lr * step) / s.warmup;
  if (s.decay === 'none') return lr;
  const start = Math.max(s.warmup, s.hold * total);
  const progress = Math.min(1, Math.max(0, (step - start) / Math.max(1, total - start)));
  const left = s.decay === 'cosine' ? 0.5 * (1 + Math.cos(Math.PI * progress)) : 1 - progress;
  return lr * (s.floor + (1 - s.floor) * left);
}
