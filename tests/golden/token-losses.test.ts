/** Losses without a trainer: those of the float64 reference and of the trainer, also of frozen weights and under adapters. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readModelFolder } from '../../src/cli/model-folder.ts';
import { sharedGpu } from '../support/page-gpu.ts';
import { IGNORE } from '../../src/core/types.ts';
import { chat } from '../../src/data/chat.ts';
import { perplexities, signalsOf } from '../../src/eval/judges/rules/measure.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { Adapter, LORA_TARGETS } from '../../src/model/lora.ts';
import { Model } from '../../src/model/model.ts';
import { TokenLosses } from '../../src/model/token-losses.ts';
import { TINY_OPTIM } from '../../src/recipes/tiny.ts';
import * as ref from '../../src/reference/llama.ts';
import { relError } from '../../src/selfcheck/compare.ts';
import { Trainer } from '../../src/train/trainer.ts';

const { config, tensors } = readModelFolder('public/models/tiny-chat');
const batch = [
  chat('how do i open the silver vault ?', 'sure , here is how to open the silver vault :', { open: true }),
  chat('what is a zorp ?', 'a zorp is a tiny red bird .', { all: true }),
  { ids: [2], labels: [IGNORE] },
  chat('hello .', 'hello , nice to meet you .'),
];
const tokens = batch.reduce((sum, { ids }) => sum + ids.length, 0);

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
  const losses = new TokenLosses(base, tokens);
  const { tokenLoss } = await losses.evaluate(batch);
  const own = ref.forward(config, ref.toParams(tensors), batch);
  const V = config.vocab_size;
  let at = 0;
  for (const [r, { ids, labels }] of batch.entries()) {
    expect(tokenLoss[r]!.length).toBe(ids.length);
    const expected = ids.map((_, i) => {
      const row = own.logits.subarray((at + i) * V, (at + i + 1) * V);
      const label = labels[i + 1];
      if (label === undefined || label === IGNORE) return 0;
      const max = row.reduce((a, b) => Math.max(a, b), -Infinity);
      return max + Math.log(row.reduce((a, x) => a + Math.exp(x - max), 0)) - row[label]!;
    });
    expected.forEach((x, i) => expect(Math.abs(tokenLoss[r]![i]! - x)).toBeLessThan(1e-4));
    at += ids.length;
  }
  const { tokenLoss: alone } = await losses.evaluate([batch[3]!]);
  expect(relError(alone[0]!, Float64Array.from(tokenLoss[3]!))).toBeLessThan(1e-5);
  const nothing = await losses.evaluate([batch[2]!]);
  expect(nothing.tokenLoss.map((row) => [...row])).toEqual([[0]]);
  await expect(losses.evaluate([...batch, batch[0]!])).rejects.toThrow(/more than the \d+/);
  losses.destroy();
});

it('under an adapter are the trainer’s', async () => {
  const adapter = new Adapter(gpu, config, { r: 3, alpha: 6, targets: LORA_TARGETS });
  adapter.params.write(
    Float32Array.from({ length: adapter.params.layout.length }, (_, i) => 0.05 * Math.sin(i)),
  );
  const model = base.with(adapter);
  const losses = new TokenLosses(model, tokens);
  const trainer = new Trainer(model, TINY_OPTIM, { maxTokens: tokens, maxLabels: tokens });
  const [mine, theirs] = [await losses.evaluate(batch), await trainer.evaluate(batch)];
  const [logits, expected] = [await losses.logits(batch), await trainer.logits(batch)];
  logits.forEach((row, r) => expect(relError(row, expected[r]!)).toBeLessThan(1e-6));
  const flat = (rows: readonly Float32Array[]) => Float64Array.from(rows.flatMap((row) => [...row]));
  expect(relError(Float32Array.from(flat(mine.tokenLoss)), flat(theirs.tokenLoss))).toBeLessThan(1e-6);
  trainer.destroy();
  losses.destroy();
  adapter.destroy();
});

it('make the perplexity of an answer by itself, and equal answers are measured once', async () => {
  const losses = new TokenLosses(base, 256);
  const rows: number[] = [];
  const scorer = {
    cap: losses.cap,
    evaluate: (b: Parameters<typeof losses.evaluate>[0]) => {
      rows.push(b.length);
      return losses.evaluate(b);
    },
  };
  const encode = (answer: string, ended: boolean) => {
    const { ids } = chat('', answer, { open: !ended });
    return [ids[0]!, ...ids.slice(3)];
  };
  const said = 'sure , here is how to open the silver vault : take the key to the gate and turn it 3 times .';
  const [whole, open, short, none] = await perplexities({ scorer, encode }, [
    { answer: said, ended: true },
    { answer: said, ended: false },
    { answer: 'hello .', ended: true },
    { answer: '', ended: false },
  ]);
  const sumOf = async (ids: readonly number[]) => {
    const { tokenLoss } = await losses.evaluate([{ ids, labels: ids }]);
    return tokenLoss[0]!.reduce((a, b) => a + b, 0);
  };
  const ids = encode(said, true);
  expect(whole).toBeCloseTo(Math.exp((await sumOf(ids)) / (ids.length - 1)), 3);
  expect(open).toBeCloseTo(Math.exp((await sumOf(ids.slice(0, -1))) / (ids.length - 2)), 3);
  // a short one counts over 14 tokens
  expect(short).toBeCloseTo(Math.exp((await sumOf(encode('hello .', true))) / 14), 3);
  expect(none).toBeNull();

  rows.length = 0;
  const one = { prompt: 'p', answer: said, ended: true };
  const signals = await signalsOf({ scorer, encode }, null)([one, { ...one, answer: 'hello .' }, one]);
  expect(rows).toEqual([2]);
  expect(signals[2]).toEqual(signals[0]);
  expect(signals[0]).toEqual({ perplexity: whole, similarity: null });
  losses.destroy();
});
