/** A model's own answers in the place of the data's: row by row, and never more room than was planned. */
import { describe, expect, test } from 'vitest';
import { IGNORE } from '../../src/core/types.ts';
import { SPECIAL } from '../../src/data/chat.ts';
import { tinyTask } from '../../src/data/tiny-task.ts';
import type { Answerer, GenToken } from '../../src/model/generate.ts';
import { recipe } from '../../src/recipes/index.ts';
import { answerOwn, withAnswers } from '../../src/recipes/own-answers.ts';
import { prepare, roomOf, type Prepared } from '../../src/recipes/prepare.ts';
import { settle, type Recipe } from '../../src/recipes/recipe.ts';
import { createWorld } from '../../src/world/world.ts';

const deepAlign = recipe('deepalign');
const task = tinyTask(createWorld(0));
const prepared = (own = {}, r: Recipe = deepAlign): Prepared =>
  prepare(r, task, settle(r, { safety: 30, benign: 200, ...own }), 3);

/** Answers what `say` says, and writes down how it was asked. */
function answerer(
  say: (prompt: readonly number[]) => number[],
  cap = { maxSeqs: 16, maxLen: 64 },
): { asked: (readonly number[])[]; calls: number[]; model: Answerer } {
  const asked: (readonly number[])[] = [];
  const calls: number[] = [];
  const model: Answerer = {
    cap,
    generate: (prompts, { maxNewTokens, eos }) => {
      calls.push(prompts.length);
      asked.push(...prompts);
      expect(eos).toEqual(new Set([SPECIAL.eos]));
      return Promise.resolve(
        prompts.map((p) =>
          say(p)
            .slice(0, maxNewTokens)
            .map((id): GenToken => ({ id, logprob: 0, top: [] })),
        ),
      );
    },
  };
  return { asked, calls, model };
}

const promptIn = (ids: readonly number[]): string => String(ids.slice(0, ids.indexOf(SPECIAL.asst) + 1));
/** Another answer for every prompt. */
const short = (prompt: readonly number[]): number[] => [
  20 + (prompt.length % 7),
  prompt.at(-2)!,
  SPECIAL.eos,
];

describe('own answers', () => {
  test('every everyday row gets the answer to its own prompt, learned with its end; other rows stay', async () => {
    const before = prepared();
    const { asked, calls, model } = answerer(short);
    const after = withAnswers(before, await answerOwn(before, model));
    expect(new Set(asked.map(String)).size).toBe(asked.length);
    expect(Math.max(...calls)).toBe(16);
    expect(after.streams.safety).toEqual(before.streams.safety);
    expect(after.streams.main).toHaveLength(200);
    after.streams.main.forEach((row, i) => {
      const prompt = before.streams.main[i]!.ids.slice(0, row.ids.length - 3);
      expect(promptIn(row.ids)).toBe(String(prompt));
      expect(row.ids).toEqual([...prompt, ...short(prompt)]);
      expect(row.labels).toEqual([...prompt.map(() => IGNORE), ...short(prompt)]);
    });
    // what a session is given are these rows
    const rows = new Set(after.streams.main.map(({ ids }) => String(ids)));
    const batch = after.open(null).next();
    expect(batch.every(({ ids }) => rows.has(String(ids)))).toBe(true);
    expect(batch).toHaveLength(16);
  });

  test('an answer without end takes no more room than the data, and teaches no end', async () => {
    const before = prepared();
    const { model } = answerer(() => new Array<number>(100).fill(30));
    const after = withAnswers(before, await answerOwn(before, model));
    const planned = roomOf(before, 16);
    const taken = roomOf(after, 16);
    expect(taken.maxTokens).toBeLessThanOrEqual(planned.maxTokens);
    expect(taken.maxLabels).toBeLessThanOrEqual(planned.maxLabels);
    expect(after.streams.main.flatMap(({ labels }) => labels)).not.toContain(SPECIAL.eos);
  });

  test('a prompt that leaves the generator no room keeps its answer', async () => {
    const before = prepared();
    const lengths = before.streams.main.map(({ ids }) => ids.indexOf(SPECIAL.asst) + 1);
    const maxLen = Math.max(...lengths);
    expect(Math.min(...lengths)).toBeLessThan(maxLen);
    const { model, asked } = answerer(short, { maxSeqs: 16, maxLen });
    const after = withAnswers(before, await answerOwn(before, model));
    expect(Math.max(...asked.map((p) => p.length))).toBeLessThan(maxLen);
    after.streams.main.forEach((row, i) => {
      if (lengths[i] === maxLen) expect(row).toEqual(before.streams.main[i]);
      else expect(row).not.toEqual(before.streams.main[i]);
    });
  });

  test('stored answers give the same rows; nobody is asked where the recipe does not want it', async () => {
    const before = prepared();
    const answers = await answerOwn(before, answerer(short).model);
    const stored = JSON.parse(JSON.stringify(answers)) as typeof answers;
    expect(withAnswers(before, stored).examples).toEqual(withAnswers(before, answers).examples);

    const silent: Answerer = {
      cap: { maxSeqs: 1, maxLen: 8 },
      generate: () => Promise.reject(new Error('asked')),
    };
    const data = prepared({ anchor: 'data' });
    expect(await answerOwn(data, silent)).toEqual({});
    expect(withAnswers(data, {})).toBe(data);
    const others = prepare(recipe('sdd'), task, settle(recipe('sdd')), 3);
    expect(await answerOwn(others, silent)).toEqual({});
  });
});
