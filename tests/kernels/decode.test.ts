/** Decoding with the matrix-vector kernel says what decoding with the kernels of training says. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readModelFolder } from '../../src/cli/model-folder.ts';
import { sharedGpu } from '../support/page-gpu.ts';
import { GEMV_ROWS } from '../../src/core/kernel-table.ts';
import type { Precision } from '../../src/core/types.ts';
import { promptIds, SPECIAL } from '../../src/data/chat.ts';
import { evalBenign } from '../../src/data/evalsets.ts';
import { spread } from '../../src/core/spread.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { Generator, type GenOptions, type GenToken } from '../../src/model/generate.ts';
import { Adapter, LORA_TARGETS } from '../../src/model/lora.ts';
import { Model } from '../../src/model/model.ts';
import { createWorld } from '../../src/world/world.ts';

const { config, tensors, record } = readModelFolder('public/models/tiny-chat');
const benign = evalBenign(createWorld(record.worldSeed), 0);
// two more than the kernel takes, so that rows that end bring a batch from one kernel to the other
const prompts = spread(benign, GEMV_ROWS + 2, 'decode').map((item) => promptIds(item.prompt));

describe.each<[string, Precision, boolean]>([
  ['the embedded model', 'f32', false],
  ['the embedded model in 16 bits under an adapter', 'f16', true],
])('%s', (_, precision, adapted) => {
  let gpu: Gpu;
  let base: Model;
  let model: Model;
  const adapters: Adapter[] = [];

  beforeAll(async () => {
    gpu = await sharedGpu();
    base = Model.create(gpu, config, tensors, precision);
    if (adapted) {
      const adapter = new Adapter(gpu, config, { r: 3, alpha: 6, targets: LORA_TARGETS });
      const { length } = adapter.params.layout;
      adapter.params.write(Float32Array.from({ length }, (_, i) => 0.02 * Math.sin(i)));
      adapters.push(adapter);
    }
    model = base.with(...adapters);
  });
  afterAll(() => {
    for (const adapter of adapters) adapter.destroy();
    base.destroy();
    gpu.destroy();
  });

  async function answers(gemv: number, n: number, o: Partial<GenOptions>): Promise<GenToken[][]> {
    const on = model.on(gpu.with({ ...gpu.table, gemv }));
    const generator = new Generator(on, { maxSeqs: prompts.length, maxLen: 104 });
    try {
      return await generator.generate(prompts.slice(0, n), { maxNewTokens: 24, eos: SPECIAL.eos, ...o });
    } finally {
      generator.destroy();
    }
  }

  it.each([1, 3, GEMV_ROWS, GEMV_ROWS + 2])('%i greedy answers at once, token by token', async (n) => {
    const [few, many] = [await answers(GEMV_ROWS, n, {}), await answers(0, n, {})];
    expect(few.map((row) => row.map((t) => t.id))).toEqual(many.map((row) => row.map((t) => t.id)));
    few.forEach((row, r) =>
      row.forEach((t, i) => expect(Math.abs(t.logprob - many[r]![i]!.logprob)).toBeLessThan(1e-4)),
    );
  });

  it('sampled, from the same logits', async () => {
    const o = { temperature: 0.7, seed: 5 };
    const [few, many] = [await answers(GEMV_ROWS, 3, o), await answers(0, 3, o)];
    expect(few.map((row) => row.map((t) => t.id))).toEqual(many.map((row) => row.map((t) => t.id)));
  });
});
