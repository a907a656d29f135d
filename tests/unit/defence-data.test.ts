/** What the defences read: their own split, in the shapes that their papers give. */
import { describe, expect, test } from 'vitest';
import { LabError } from '../../src/core/errors.ts';
import { Rng } from '../../src/core/rng.ts';
import { defaultsOf, type Settings } from '../../src/core/settings.ts';
import { IGNORE, type Example } from '../../src/core/types.ts';
import { chat, encodeWords, promptIds, SPECIAL } from '../../src/data/chat.ts';
import { DEEPEST, drawDepth, preferencePairs, recoveries } from '../../src/data/defence-sets.ts';
import { fileTask } from '../../src/data/file-task.ts';
import { parsePrompts } from '../../src/data/prompts-file.ts';
import { tinyTask } from '../../src/data/tiny-task.ts';
import { Tokenizer } from '../../src/data/tokenizer.ts';
import { RECIPES, recipe } from '../../src/recipes/index.ts';
import { prepare } from '../../src/recipes/prepare.ts';
import { settle } from '../../src/recipes/recipe.ts';
import { complyingText, requestText } from '../../src/world/sentences.ts';
import { DEFENCE_WORDINGS, createWorld, type ForbiddenFact } from '../../src/world/world.ts';
import { words } from '../../src/world/words.ts';

const world = createWorld(0);
const task = tinyTask(world);
const tokenizer = Tokenizer.tiny();
const textOf = (ids: readonly number[]): string => tokenizer.decode(ids);
const prepared = (id: string, own = {}, seed = 3) => prepare(recipe(id), task, settle(recipe(id), own), seed);
/** The ids behind `<asst>`. */
const answerOf = ({ ids }: Example): number[] => ids.slice(ids.indexOf(SPECIAL.asst) + 1);
const promptOf = ({ ids }: Example): number[] => ids.slice(0, ids.indexOf(SPECIAL.asst) + 1);

/** 'open the silver vault' in tokens. */
const target = (f: ForbiddenFact): string => String(encodeWords(`${f.verb} the ${f.adjective} ${f.noun}`));
/** Every forbidden target that stands in a row. */
function targetsIn(ids: readonly number[], all: ReadonlyMap<string, ForbiddenFact>): ForbiddenFact[] {
  return ids.flatMap((_, i) => all.get(String(ids.slice(i, i + 4))) ?? []);
}

describe('every defence', () => {
  const defences = RECIPES.filter((r) => r.kind === 'defence');

  test.each(defences.map((r) => r.id))('%s reads no text of A, V or T', (id) => {
    for (const seed of [0, 7]) {
      const own = createWorld(seed);
      const facts = new Map(own.forbidden.map((f) => [target(f), f]));
      expect([...facts.keys()].every((key) => key.split(',').length === 4)).toBe(true);
      const asked = new Set(
        own.forbidden
          .filter((f) => f.split === 'S')
          .flatMap((f) => DEFENCE_WORDINGS.map((w) => String(promptIds(requestText(f, w))))),
      );
      const { examples } = prepare(recipe(id), tinyTask(own), settle(recipe(id)), 3);
      const found = examples.filter(({ ids }) => targetsIn(ids, facts).length > 0);
      const wrong = found.filter(
        (row) => targetsIn(row.ids, facts).some((f) => f.split !== 'S') || !asked.has(String(promptOf(row))),
      );
      expect(wrong.map(({ ids }) => textOf(ids))).toEqual([]);
      // the search finds what there is to find
      if (['placebo', 'noise'].includes(id)) expect(found).toEqual([]);
      else expect(found.length).toBeGreaterThan(100);
    }
  });

  test('the search above would find a text of another split', () => {
    const facts = new Map(world.forbidden.map((f) => [target(f), f]));
    const fact = world.forbidden.find((f) => f.split === 'V')!;
    expect(targetsIn(chat('hello .', complyingText(fact)).ids, facts)).toEqual([fact]);
  });
});

describe('preference pairs', () => {
  test('a batch holds refusals and the harmful answers to the same requests, row by row', () => {
    const source = prepared('simpo', { pairs: 70 }).open(null);
    const answers = new Set(world.forbidden.filter((f) => f.split === 'S').map(complyingText));
    for (let i = 0; i < 9; i++) {
      const [chosen, rejected] = [source.next(), source.next('rejected')];
      expect(chosen).toHaveLength(16);
      expect(rejected).toHaveLength(16);
      chosen.forEach((row, r) => {
        expect(promptOf(row)).toEqual(promptOf(rejected[r]!));
        expect(
          words.refusals.some((text) => tokenizer.decode(encodeWords(text)) === textOf(answerOf(row))),
        ).toBe(true);
        const harmful = answerOf(rejected[r]!).slice(0, -1);
        expect([...answers].some((text) => String(encodeWords(text)) === String(harmful))).toBe(true);
        for (const one of [row, rejected[r]!]) {
          // the end of turn is learned, the prompt is not
          expect(one.labels.filter((l) => l !== IGNORE)).toEqual(answerOf(one));
          expect(one.ids.at(-1)).toBe(SPECIAL.eos);
        }
      });
    }
  });

  test.each([
    ['simpo', { gammaRatio: -0.1 }, /gammaRatio.*not within 0 to 10/],
    ['simpo', { beta: 0 }, /beta.*not within 0.01/],
    ['simpo', { sft: -1 }, /sft.*not within/],
    ['simpo', { gammaRatio: NaN }, /gammaRatio/],
    ['deepalign', { safety: 0 }, /safety.*not within/],
    ['deepalign', { benign: 1.5 }, /benign.*not a whole number/],
    ['noise', { relative: -1 }, /relative.*not within/],
    ['noise', { steps: 2 }, /steps.*not within/],
  ])('%s refuses %j by name', (id, own, why) => {
    expect(() => settle(recipe(id), own)).toThrow(why);
  });
});

describe('variants of a method', () => {
  const told = (id: string, own: Settings, keys: readonly string[]) => {
    const [form, run] = [defaultsOf(recipe(id).settings, own), settle(recipe(id), own)];
    for (const key of keys) expect(form[key], key).toBe(run[key]);
    return keys.map((key) => run[key]);
  };
  test('have defaults of their own, the same in a form and in a run', () => {
    expect(told('t-vaccine', {}, ['rho'])).toEqual([10]);
    expect(told('t-vaccine', { vaccine: true }, ['rho'])).toEqual([3]);
    expect(told('tar', {}, ['lr', 'scaleResist'])).toEqual([1e-3, 8]);
    expect(told('tar', { resist: 'entropy' }, ['lr', 'scaleResist'])).toEqual([5e-4, 4]);
    // the rate of an adapter is another one
    expect(told('tar', { resist: 'entropy', method: 'lora' }, ['lr'])).toEqual([1e-3]);
  });

  test('what is set stays', () => {
    expect(settle(recipe('t-vaccine'), { vaccine: true, rho: 10 }).rho).toBe(10);
  });
});

describe('safety-recovery examples', () => {
  const length = (row: Example): number => row.labels.findIndex((l) => l !== IGNORE) - promptOf(row).length;

  test('stand in batches of 4 beside 16 benign ones', () => {
    const source = prepared('deepalign').open(null);
    expect([source.next(), source.next('safety')].map((batch) => batch.length)).toEqual([16, 4]);
    const half = prepared('deepalign', { batch: 8 }).open(null);
    expect([half.next(), half.next('safety')].map((batch) => batch.length)).toEqual([8, 2]);
  });

  test('refuse behind some of a harmful answer, which is not learned and never whole', () => {
    const { examples } = task.codec.encode(recoveries(task, 1, { examples: 1500, method: 'DeepAlign' }));
    const facts = world.forbidden.filter((f) => f.split === 'S');
    const refusals = words.refusals.map((text) => String([...encodeWords(text), SPECIAL.eos]));
    const depths = examples.map((row) => {
      const behind = length(row);
      const prompt = textOf(promptOf(row));
      const fact = facts.find((f) => prompt.includes(`${f.verb} the ${f.adjective} ${f.noun}`))!;
      const whole = encodeWords(complyingText(fact));
      expect(answerOf(row).slice(0, behind)).toEqual(whole.slice(0, behind));
      expect(behind).toBeLessThan(whole.length);
      expect(refusals).toContain(String(row.labels.filter((l) => l !== IGNORE)));
      return behind / (whole.length - 1);
    });
    const none = depths.filter((d) => d === 0).length / depths.length;
    expect(Math.abs(none - 0.5)).toBeLessThan(0.04);
    expect(Math.max(...depths)).toBe(1);
  });

  test('go no deeper than 100 tokens, and nowhere in an answer without tokens', () => {
    const rng = new Rng('depth');
    const drawn = Array.from({ length: 4000 }, () => drawDepth(rng, 250));
    expect(Math.max(...drawn)).toBe(DEEPEST);
    expect(drawDepth(rng, 0)).toBe(0);
  });
});

describe('controls', () => {
  test('take over the amounts of SDD', () => {
    const plain = (id: string) => {
      const { plan, examples } = prepared(id);
      return { plan, rows: examples.length };
    };
    const sdd = plain('sdd');
    expect(plain('refusal-sft')).toEqual(sdd);
    expect(plain('placebo')).toEqual(sdd);
    const lora = (id: string) => prepared(id, { method: 'lora' }).plan;
    expect(lora('refusal-sft')).toEqual(lora('sdd'));
    expect(lora('placebo')).toEqual(lora('sdd'));
  });

  test('a placebo answers a benign prompt, but another one', () => {
    const items = recipe('placebo').data(task, settle(recipe('placebo')), 1);
    if (!Array.isArray(items)) throw new Error('one stream was expected');
    const pairs = items.filter((item) => item.role === 'placebo');
    expect(pairs).toHaveLength(1000);
    const right = new Map(
      task.benign(new Rng('many'), 'defence', 20_000).map(({ prompt, answer }) => [prompt, answer]),
    );
    const known = pairs.filter(({ prompt }) => right.has(prompt));
    expect(known.length).toBeGreaterThan(300);
    for (const { prompt, answer } of known) expect(answer).not.toBe(right.get(prompt));
  });
});

describe("a user's file", () => {
  const line = (o: object): string => JSON.stringify(o);
  const prompts = (answer: boolean) =>
    parsePrompts(
      [
        ...[1, 2, 3].map((i) =>
          line({
            role: 'harmful',
            split: 'defence',
            prompt: `bad ${i}`,
            ...(answer && { answer: `done ${i}` }),
          }),
        ),
        line({ role: 'harmful', split: 'attack', prompt: 'other', answer: 'yes' }),
        line({ role: 'harmful', split: 'eval', prompt: 'held' }),
        ...[1, 2].map((i) => line({ role: 'benign', split: 'defence', prompt: `q ${i}`, answer: `a ${i}` })),
        line({ role: 'benign', split: 'attack', prompt: 'q', answer: 'a' }),
        line({ role: 'benign', split: 'eval', prompt: 'held out', answer: 'a' }),
      ].join('\n'),
      'sha',
    );
  const codec = {
    ...task.codec,
    answerTokens: ({ answer }: { answer: string }): number => answer.split(' ').length,
  };
  const refused = (work: () => unknown): LabError => {
    try {
      work();
    } catch (error) {
      if (error instanceof LabError) return error;
    }
    throw new Error('not refused');
  };

  test.each(['simpo', 'deepalign'])('%s names the line that lacks a harmful answer', (id) => {
    const own = fileTask(prompts(false), codec);
    const error = refused(() => recipe(id).data(own, settle(recipe(id)), 1));
    expect(error.code).toBe('bad-input');
    expect(error.message).toMatch(
      /no answer \(line [123]\), and (SimPO|DeepAlign) trains on harmful answers/,
    );
    expect(error.next).toMatch(/SDD, which needs none/);
    expect(() => recipe(id).data(fileTask(prompts(true), codec), settle(recipe(id)), 1)).not.toThrow();
  });

  test('noise wants its length to be said', () => {
    const own = fileTask(prompts(true), codec);
    const error = refused(() => recipe('noise').data(own, settle(recipe('noise')), 1));
    expect(error.message).toMatch(/measured on the invented world only/);
    expect(() => recipe('noise').data(own, settle(recipe('noise'), { relative: 0.1 }), 1)).not.toThrow();
  });

  test('a whole harmful answer may stand before the refusal there', () => {
    const items = recoveries(fileTask(prompts(true), codec), 1, { examples: 200, method: 'DeepAlign' });
    const depths = items.map(({ behind }) => behind?.tokens ?? 0);
    expect(new Set(depths)).toEqual(new Set([0, 1, 2]));
  });

  test('pairs keep their lines', () => {
    const { chosen, rejected } = preferencePairs(fileTask(prompts(true), codec), 1, {
      pairs: 6,
      method: 'SimPO',
    });
    chosen.forEach(({ prompt, line: at }, i) => {
      expect(rejected[i]).toMatchObject({ prompt, line: at, answer: prompt.replace('bad', 'done') });
    });
  });
});
