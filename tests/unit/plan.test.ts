import { describe, expect, it, vi } from 'vitest';
import { SHAPES } from '../../src/cli/models-make.ts';
import { DESKTOP } from '../../src/cli/models-plan.ts';
import { main } from '../../src/cli/models.ts';
import { parseLlamaConfig, tensorShapes } from '../../src/core/config.ts';
import { changeWords, problemWords } from '../../src/core/memory.ts';
import { advise, DEFAULT_LORA, plan, type Advice, type PlanRequest } from '../../src/model/plan.ts';

const shape = (name: string) => parseLlamaConfig(SHAPES[name]);
const llama = shape('llama-3.2-1b');
const lora: PlanRequest = {
  precision: 'bf16',
  method: 'lora',
  adapters: [DEFAULT_LORA],
  context: 512,
  batch: 1,
  answers: 1,
};

describe('published shapes', () => {
  it.for([
    ['smollm2-135m', 134_515_008],
    ['smollm2-360m', 361_821_120],
    ['tinyllama-1.1b', 1_100_048_384],
    ['llama-3.2-1b', 1_235_814_400],
  ] as const)('%s has %i parameters', ([name, parameters]) => {
    const sizes = [...tensorShapes(shape(name)).values()].map((s) => s.reduce((a, b) => a * b, 1));
    expect(sizes.reduce((a, b) => a + b, 0)).toBe(parameters);
  });
});

describe('the memory plan', () => {
  it('of Llama-3.2-1B with LoRA rank 8 at 512 tokens stays below 6 GB, and weights make most of it', () => {
    const p = plan(llama, lora, DESKTOP);
    expect(p.problems).toEqual([]);
    expect(p.total).toBeLessThan(6e9);
    expect(p.total).toBe(Object.values(p.bytes).reduce((a, b) => a + b, 0));
    // two bytes a matrix element, four a norm element, and what aligns them
    const norms = (2 * 16 + 1) * 2048;
    const exact = (1_235_814_400 - norms) * 2 + norms * 4;
    expect(p.bytes.weights).toBeGreaterThanOrEqual(exact);
    expect(p.bytes.weights).toBeLessThan(exact + 1e5);
    // rank 8 on all projections: 5,636,096 parameters as PEFT counts them
    expect(p.bytes.adapters).toBe(5_636_096 * 4);
    expect(p.bytes.gradients).toBe(p.bytes.adapters);
    expect(p.bytes.optimizer).toBe(2 * p.bytes.adapters);
    // keys and values of 16 layers, 512 positions, 8 heads of 64
    expect(p.bytes['KV cache']).toBe(16 * 512 * 2 * 8 * 64 * 4);
  });

  it('falls with 16 bits, checkpointing, a shorter context and a smaller batch, and grows with the rank', () => {
    const total = (change: Partial<PlanRequest>): number =>
      plan(llama, { ...lora, ...change }, DESKTOP).total;
    const base = total({});
    expect(total({ precision: 'f32' })).toBeGreaterThan(base + 2.4e9);
    expect(total({ precision: 'f16' })).toBe(base);
    expect(total({ checkpoint: true })).toBeLessThan(base);
    expect(total({ context: 256 })).toBeLessThan(base);
    expect(total({ batch: 2 })).toBeGreaterThan(base);
    expect(total({ answers: 0 })).toBeLessThan(base);
    expect(total({ adapters: [{ ...DEFAULT_LORA, r: 16 }] })).toBeGreaterThan(base);
    expect(total({ adapters: [DEFAULT_LORA, DEFAULT_LORA] })).toBeGreaterThan(base);
  });

  it('says what stands against it: the budget, a buffer, a binding, frozen weights', () => {
    const problems = (r: PlanRequest, limits = DESKTOP, budget = Infinity): string =>
      plan(llama, r, limits, budget).problems.map(problemWords).join('\n');
    expect(problems(lora, DESKTOP, 2e9)).toMatch(/it takes .* GB, and the budget is 2.00 GB/);
    expect(problems({ ...lora, method: 'full', precision: 'f32' })).toMatch(
      /the weights take 4.94 GB, and one buffer/,
    );
    expect(problems({ ...lora, method: 'full' })).toMatch(/frozen: only an adapter/);
    const phone = { maxBufferSize: 2 ** 28, maxStorageBufferBindingSize: 2 ** 24 };
    expect(problems(lora, phone)).toMatch(
      /the widest activations take .*, and kernels of this adapter reach 16.8 MB/,
    );
    expect(problems({ ...lora, context: 64 }, { ...phone, maxStorageBufferBindingSize: 4000 })).toMatch(
      /rows of .* are longer/,
    );
  });

  it('names what would make it fit, the mildest first, and several changes where one is not enough', () => {
    const { total } = plan(llama, lora, DESKTOP);
    expect(advise(llama, lora, DESKTOP, total)).toEqual([]);
    const f32 = { ...lora, precision: 'f32' as const };
    const big = { maxBufferSize: 2 ** 33, maxStorageBufferBindingSize: 2 ** 33 };
    const words = (a: Advice): string[] => a.changes.map(changeWords);
    expect(advise(llama, f32, big, total).map(words)).toEqual([['16-bit weights (bf16)']]);
    const long = { ...lora, context: 4096 };
    const saved = advise(llama, long, DESKTOP, plan(llama, long, DESKTOP).total - 1e6);
    expect(saved.map((a) => words(a)[0])).toEqual([
      'activation checkpointing',
      'a shorter context (2048 tokens)',
    ]);
    const full = { ...lora, method: 'full' as const, precision: 'f32' as const, batch: 4 };
    const [together] = advise(llama, full, DESKTOP, 3.5e9);
    expect(together!.changes.length).toBeGreaterThan(1);
    expect(words(together!).join()).toMatch(/LoRA instead of all weights/);
    expect(together!.plan.problems).toEqual([]);
    expect(together!.plan.total).toBeLessThanOrEqual(3.5e9);
    expect(advise(llama, lora, DESKTOP, 1e9)).toEqual([]);
    for (const { plan: p } of saved) expect(p.total).toBeLessThan(plan(llama, long, DESKTOP).total);
  });

  it('is printed by npm run models -- plan, with exit code 1 where it does not fit', async () => {
    const print = vi.spyOn(console, 'log').mockImplementation(() => undefined);
    const printed = (): string => print.mock.lastCall![0] as string;
    try {
      const args = ['plan', '--shape', 'llama-3.2-1b'];
      expect(await main([...args, '--budget', '6'])).toBe(0);
      expect(printed()).toMatch(
        /^LoRA rank 8 on all projections, weights in bf16, 1 x 512 tokens[^]*KV cache[^]*together/,
      );
      expect(await main([...args, '--budget', '2.6', '--json'])).toBe(1);
      const report = JSON.parse(printed()) as { total: number; problems: string[]; advice: unknown[] };
      expect(report.total).toBe(plan(llama, lora, DESKTOP).total);
      expect(report.problems).toHaveLength(1);
      expect(
        await main(['plan', 'public/models/tiny-chat', '--targets', 'q_proj,v_proj', '--context', '64']),
      ).toBe(0);
      expect(printed()).toMatch(/LoRA rank 8 on q_proj, v_proj, weights in f16/);
      expect(await main(['plan', 'public/models/tiny-chat', '--budget', '0.001', '--context', '64'])).toBe(1);
      expect(printed()).toMatch(/does not fit +it takes/);
    } finally {
      print.mockRestore();
    }
    for (const wrong of [
      ['--method', 'half'],
      ['--targets', 'k'],
      ['--rank', '0'],
      ['--precision', 'f8'],
    ])
      await expect(main(['plan', '--shape', 'llama-3.2-1b', ...wrong])).rejects.toThrow(/must be/);
    await expect(main(['plan', 'public/models/tiny-chat', '--shape', 'llama-3.2-1b'])).rejects.toThrow(
      /not both/,
    );
  });
});
