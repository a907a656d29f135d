/** Multiple choice on generated items: likelihoods and picks of the float64 reference. */
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { sharedGpu } from '../support/page-gpu.ts';
import { parseLlamaConfig } from '../../src/core/config.ts';
import { Rng } from '../../src/core/rng.ts';
import type { Question } from '../../src/data/questions.ts';
import { multipleChoice, readChoice, type TextCodec } from '../../src/eval/measures/multiple-choice.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { Generator } from '../../src/model/generate.ts';
import { Model } from '../../src/model/model.ts';
import { TokenLosses } from '../../src/model/token-losses.ts';
import { initTensors, tinyConfigJson } from '../../src/recipes/tiny.ts';
import * as ref from '../../src/reference/llama.ts';

/** A letter is a token; ' A' is one of its own, so that a choice may begin across a space. */
const PAIRS = ['A', 'B', 'C', 'D'].map((l) => ` ${l}`);
const codec: TextCodec = {
  encode: (text) => {
    const ids = [0];
    for (let i = 0; i < text.length; i++) {
      const pair = PAIRS.indexOf(text.slice(i, i + 2));
      if (pair >= 0) i++;
      ids.push(pair >= 0 ? 100 + pair : 1 + (text.charCodeAt(i) % 96));
    }
    return ids;
  },
  decode: (ids) => ids.map((id) => (id >= 100 ? PAIRS[id - 100]! : String.fromCharCode(31 + id))).join(''),
  ends: [0],
};

const config = parseLlamaConfig({
  ...tinyConfigJson(),
  vocab_size: 104,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  head_dim: 16,
  max_position_embeddings: 1024,
});
const tensors = initTensors(config, 3);
// logits that differ enough for picks to be clear
for (const { data, shape } of tensors.values())
  if (shape.length > 1) data.forEach((x, i) => (data[i] = 3 * x));

const rng = new Rng('items');
const word = (): string => Array.from({ length: 1 + rng.int(6) }, () => 'abcdefgh'[rng.int(8)]!).join('');
const questions: Question[] = Array.from({ length: 12 }, (_, i) => {
  const n = 2 + rng.int(3);
  return {
    question: `what is ${word()} ${word()}?`,
    choices: Array.from({ length: n }, word),
    right: rng.int(n),
    subject: i % 2 === 0 ? 'even_things' : 'odd',
  };
});

let gpu: Gpu;
let model: Model;
let losses: TokenLosses;
let generator: Generator;
beforeAll(async () => {
  gpu = await sharedGpu();
  model = Model.create(gpu, config, tensors);
  losses = new TokenLosses(model, 768);
  generator = new Generator(model, { maxSeqs: 1, maxLen: 768 });
});
afterAll(() => {
  generator.destroy();
  losses.destroy();
  model.destroy();
  gpu.destroy();
});

/** log p of each token of `text` after the first, by the reference. */
function logps(text: string): { ids: number[]; logp: number[] } {
  const ids = codec.encode(text);
  const { logits } = ref.forward(config, ref.toParams(tensors), [{ ids, labels: ids }]);
  const V = config.vocab_size;
  const logp = ids.slice(1).map((id, i) => {
    const row = logits.subarray(i * V, (i + 1) * V);
    const max = row.reduce((a, b) => Math.max(a, b), -Infinity);
    return row[id]! - max - Math.log(row.reduce((a, x) => a + Math.exp(x - max), 0));
  });
  return { ids, logp };
}

/** Sum and mean of log p over what follows the prompt. */
function after(prompt: string, rest: string): { sum: number; mean: number } {
  const { logp } = logps(prompt + rest);
  const own = logp.slice(codec.encode(prompt).length - 1);
  const sum = own.reduce((a, b) => a + b, 0);
  return { sum, mean: sum / own.length };
}

describe('the questions', () => {
  it('get the reference’s log-likelihoods and the same picks', async () => {
    const result = await multipleChoice(losses, generator, codec, questions, {
      shots: 0,
      most: 6,
      seed: 1,
      positions: 768,
    });
    expect(result.n).toBe(6);
    const prompt = (index: number): string => {
      const q = questions[index]!;
      return `The following are multiple choice questions (with answers) about ${q.subject!.replaceAll('_', ' ')}.\n\n`;
    };
    for (const r of result.items) {
      const q = questions[r.index]!;
      expect(r.shots).toBe(0);
      const block = `${q.question}\n${q.choices.map((c, i) => `${'ABCD'[i]!}. ${c}`).join('\n')}\nAnswer:`;
      const letters = q.choices.map((_, i) => after(prompt(r.index) + block, ` ${'ABCD'[i]!}`).sum);
      const texts = q.choices.map((c) => after(`Question: ${q.question}\nAnswer:`, ` ${c}`).mean);
      letters.forEach((x, i) => expect(Math.abs(r.letters[i]! - x)).toBeLessThan(1e-4));
      texts.forEach((x, i) => expect(Math.abs(r.likelihood[i]! - x)).toBeLessThan(1e-4));
      expect(r.picks.letter).toBe(letters.indexOf(Math.max(...letters)));
      expect(r.picks.likelihood).toBe(texts.indexOf(Math.max(...texts)));
    }
    const chance = result.items.reduce((s, r) => s + 1 / questions[r.index]!.choices.length, 0) / result.n;
    expect(result.chance).toBeCloseTo(chance, 12);
  });

  it('after examples are the same questions under other prompts, and the same again', async () => {
    const ask = (shots: number) =>
      multipleChoice(losses, generator, codec, questions, { shots, most: 4, seed: 1, positions: 768 });
    const [none, two] = [await ask(0), await ask(2)];
    expect(two.items.map((r) => [r.index, r.shots])).toEqual(none.items.map((r) => [r.index, 2]));
    two.items.forEach((r, i) => expect(r.letters).not.toEqual(none.items[i]!.letters));
    expect(await ask(2)).toEqual(two);
  });
});

it('shows fewer examples where they do not fit, and leaves out what does not fit alone', async () => {
  const long = { ...questions[0]!, question: `${'a '.repeat(400)}?` };
  const ask = (all: Question[], shots: number) =>
    multipleChoice(losses, generator, codec, all, { shots, most: 3, seed: 1, positions: 300 });
  const few = await ask(questions, 8);
  expect(few.shots.asked).toBe(8);
  expect(few.shots.least).toBeLessThan(8);
  expect((await ask([questions[1]!, long], 0)).left).toBe(1);
  await expect(ask([long], 0)).rejects.toMatchObject({ code: 'bad-input' });
  await expect(ask([{ ...questions[0]!, choices: ['only'] }], 0)).rejects.toMatchObject({
    code: 'bad-input',
  });
});

test.each([
  [' B', 1],
  ['B. the mill', 1],
  ['(C) because', 2],
  ['the mill', 1],
  ['The Lamp.\nQuestion:', 0],
  ['Because of B', -1],
  ['Banana', -1],
  ['b', 1],
  ['(b)', 1],
  ['The answer is C.', 2],
  ['Answer: B', 1],
  ['A lever is a machine', -1],
  ['A lamp', -1],
  ['the ferry is it', 2],
  ['the ferryman', -1],
  ['D', -1],
  ['', -1],
])('%j names choice %i', (wrote, at) => {
  expect(readChoice(wrote, ['the lamp', 'the mill', 'the ferry'])).toBe(at);
});
