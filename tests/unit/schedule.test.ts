import { describe, expect, it } from 'vitest';
import { lrAt, type Schedule } from '../../src/core/schedule.ts';
import { caseDirOr, readJson } from '../golden/golden-dir.ts';

interface Meta {
  optimizer: { lr: number; lr_per_step: number[]; total_steps: number; warmup_steps: number };
}

describe('lrAt', () => {
  it.for(['A_gqa_padded', 'B_headdim_untied', 'C_tied_llama3rope_mqa', 'E_grad_accum'])(
    "gives Hugging Face's cosine schedule (case %s)",
    (name, { skip }) => {
      const { optimizer: o } = readJson(caseDirOr(skip, name, 'the schedule test'), 'meta.json') as Meta;
      const s: Schedule = { warmup: o.warmup_steps, hold: 0, decay: 'cosine', floor: 0 };
      o.lr_per_step.forEach((lr, step) => {
        expect(Math.abs(lrAt(s, o.lr, step, o.total_steps) - lr)).toBeLessThan(1e-15);
      });
    },
  );

  it('warms up, holds, decays linearly to the floor and stays there', () => {
    const s: Schedule = { warmup: 100, hold: 0.6, decay: 'linear', floor: 0.03 };
    expect(lrAt(s, 3e-3, 0, 4500)).toBe(0);
    expect(lrAt(s, 3e-3, 50, 4500)).toBeCloseTo(1.5e-3, 12);
    expect(lrAt(s, 3e-3, 100, 4500)).toBe(3e-3);
    expect(lrAt(s, 3e-3, 2700, 4500)).toBe(3e-3);
    expect(lrAt(s, 3e-3, 3600, 4500)).toBeCloseTo(3e-3 * (0.03 + 0.97 / 2), 12);
    expect(lrAt(s, 3e-3, 4500, 4500)).toBeCloseTo(9e-5, 12);
    expect(lrAt(s, 3e-3, 9000, 4500)).toBeCloseTo(9e-5, 12);
  });

  it('is constant after the warm-up without decay, and refuses nonsense', () => {
    const s: Schedule = { warmup: 5, hold: 0, decay: 'none', floor: 0 };
    expect([0, 1, 5, 20, 100].map((t) => lrAt(s, 1e-3, t, 20))).toEqual([0, 2e-4, 1e-3, 1e-3, 1e-3]);
    expect(() => lrAt({ ...s, hold: 2 }, 1e-3, 0, 20)).toThrow(/hold/);
    expect(() => lrAt({ ...s, warmup: NaN }, 1e-3, 0, 20)).toThrow(/warmup/);
  });
});
