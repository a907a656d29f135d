/** Hidden states for comparing texts: those of the float64 reference, and under adapters those that the trainer's logits come from. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readModelFolder } from '../../src/cli/model-folder.ts';
import { sharedGpu } from '../support/page-gpu.ts';
import { promptIds } from '../../src/data/chat.ts';
import { Embedded } from '../../src/data/pairs/similarity.ts';
import { pooledPort } from '../../src/eval/pooled.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { HiddenStates } from '../../src/model/hidden.ts';
import { Adapter, LORA_TARGETS } from '../../src/model/lora.ts';
import { Model } from '../../src/model/model.ts';
import * as ref from '../../src/reference/llama.ts';
import { linear } from '../../src/reference/ops.ts';
import { TINY_OPTIM } from '../../src/recipes/tiny.ts';
import { relError } from '../../src/selfcheck/compare.ts';
import { Trainer } from '../../src/train/trainer.ts';

const { config, tensors } = readModelFolder('public/models/tiny-chat');
const rows = ['open the silver vault', 'what is the capital of dorlan ?', 'i'].map((text) => promptIds(text));
const tokens = rows.reduce((sum, ids) => sum + ids.length, 0);
const batch = rows.map((ids) => ({ ids, labels: ids }));
const params = ref.toParams(tensors);

let gpu: Gpu;
let base: Model;
beforeAll(async () => {
  gpu = await sharedGpu();
  base = Model.create(gpu, config, tensors);
});
afterAll(() => {
  base.destroy();
  gpu.destroy();
});

it('are those of the reference, call after call', async () => {
  const hidden = new HiddenStates(base, tokens);
  const { norm } = ref.forward(config, params, batch);
  const all = await hidden.read(rows);
  expect(all.map((row) => row.length)).toEqual(rows.map((ids) => ids.length * config.hidden_size));
  expect(relError(Float32Array.from(all.flatMap((row) => [...row])), norm)).toBeLessThan(1e-5);
  const [alone] = await hidden.read([rows[1]!]);
  expect(relError(alone!, Float64Array.from(all[1]!))).toBeLessThan(1e-6);
  await expect(hidden.read([...rows, rows[0]!])).rejects.toThrow(/more than the \d+ tokens/);
  hidden.destroy();
});

it('under an adapter are those of the adapted model', async () => {
  const adapter = new Adapter(gpu, config, { r: 3, alpha: 6, targets: LORA_TARGETS });
  adapter.params.write(
    Float32Array.from({ length: adapter.params.layout.length }, (_, i) => 0.05 * Math.sin(i)),
  );
  const model = base.with(adapter);
  const hidden = new HiddenStates(model, tokens);
  const trainer = new Trainer(model, TINY_OPTIM, { maxTokens: tokens, maxLabels: tokens });
  const logits = await trainer.logits(batch);
  const head = params.get(config.tie_word_embeddings ? 'model.embed_tokens.weight' : 'lm_head.weight')!;
  const states = await hidden.read(rows);
  for (const [r, row] of states.entries()) {
    const own = linear(Float64Array.from(row), head, rows[r]!.length, config.vocab_size, config.hidden_size);
    expect(relError(logits[r]!, own)).toBeLessThan(1e-5);
  }
  trainer.destroy();
  hidden.destroy();
  adapter.destroy();
});

it('are pooled to their mean, and tell texts of one kind from those of another', async () => {
  const hidden = new HiddenStates(base, 256);
  const port = pooledPort('tiny-chat', hidden, promptIds);
  const [pooled] = await port.embed(['open the silver vault']);
  const [states] = await hidden.read([rows[0]!]);
  const width = config.hidden_size;
  for (let i = 0; i < width; i++) {
    let mean = 0;
    for (let k = i; k < states!.length; k += width) mean += states![k]! / rows[0]!.length;
    expect(pooled![i]).toBeCloseTo(mean, 5);
  }
  const like = new Embedded(
    port,
    ['open the silver vault', 'what is the capital of dorlan ?'],
    ['open the golden vault', 'what is the capital of mirvia ?'],
  );
  const [same, other, cross, twin] = await like.of([
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ]);
  expect(Math.min(same!, twin!)).toBeGreaterThan(Math.max(other!, cross!) + 0.5);
  hidden.destroy();
});
