import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LabError } from '../../src/core/errors.ts';
import { Rng } from '../../src/core/rng.ts';
import { buildPairs, SimilarityCache } from '../../src/data/pairs/build.ts';
import { drawPairs } from '../../src/data/pairs/pairing.ts';
import { balancedSample, UNLABELLED } from '../../src/data/pairs/sample.ts';
import { pairSettings, type PairSettingsInput } from '../../src/data/pairs/settings.ts';
import type { Similarity } from '../../src/data/pairs/similarity.ts';
import type { Sources } from '../../src/data/pairs/sources.ts';
import { builtFiles } from '../../src/data/pairs/write.ts';
import { parsePrompts } from '../../src/data/prompts-file.ts';
import { row, sentence, source, sources } from './support/pair-sources.ts';

const DATE = '2026-01-02T03:04:05.000Z';
const build = (from: Sources, own: PairSettingsInput = {}, seed = 1) =>
  buildPairs(from, pairSettings(own), seed);
const small = sources(1, { harmful: 120, answers: 200, categories: 4 });

describe('a balanced sample', () => {
  /** Rows with some of a few categories. */
  const rows = fc.array(fc.record({ categories: fc.subarray(['a', 'b', 'c', 'd', 'e']) }), {
    minLength: 1,
    maxLength: 60,
  });

  it('is balanced within one; a category that has less could not have more', () => {
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 70 }), fc.integer(), (all, n, seed) => {
        const { chosen, counts } = balancedSample(new Rng(seed), all, { per: 'total', n });
        expect(chosen).toHaveLength(Math.min(n, all.length));
        expect(new Set(chosen.map((c) => c.index)).size).toBe(chosen.length);
        const own = (i: number): readonly string[] =>
          all[i]!.categories.length > 0 ? all[i]!.categories : [UNLABELLED];
        for (const { index, category } of chosen) expect(own(index)).toContain(category);
        for (const { category, taken } of counts)
          expect(chosen.filter((c) => c.category === category)).toHaveLength(taken);
        const most = Math.max(...counts.map((c) => c.taken));
        const owner = new Map(chosen.map((c) => [c.index, c.category]));
        for (const { category, taken } of counts.filter((c) => c.taken < most - 1)) {
          // whoever could give it a row, directly or through others, is as poor
          const reached = new Set([category]);
          for (const name of reached)
            all.forEach((_, i) => {
              if (!own(i).includes(name)) return;
              expect(owner.has(i), 'a free row').toBe(true);
              reached.add(owner.get(i)!);
            });
          for (const name of reached)
            expect(counts.find((c) => c.category === name)!.taken).toBeLessThanOrEqual(taken + 1);
        }
      }),
    );
  });

  it('of each category takes as many, and says which has fewer', () => {
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 20 }), fc.integer(), (all, n, seed) => {
        const { counts } = balancedSample(new Rng(seed), all, { per: 'category', n });
        for (const { taken, there, short } of counts) {
          expect(taken).toBeLessThanOrEqual(Math.min(n, there));
          expect(short).toBe(taken < n);
        }
      }),
    );
  });

  it('lets rows change hands: the last row of a rare category is not spent on another', () => {
    const all = [
      ...Array.from({ length: 3 }, () => ({ categories: ['rare', 'common'] })),
      ...Array.from({ length: 9 }, () => ({ categories: ['common'] })),
    ];
    for (let seed = 0; seed < 20; seed++) {
      const { counts } = balancedSample(new Rng(seed), all, { per: 'total', n: 6 });
      expect(counts.map((c) => [c.category, c.taken])).toEqual([
        ['common', 3],
        ['rare', 3],
      ]);
    }
  });
});

/** Numbers that are fixed for a pair of indices. */
const table = (seed: number): Similarity => ({
  id: 'table',
  of: async (pairs) => pairs.map(([i, a]) => new Rng(`${seed}/${i}/${a}`).next()),
  ofTexts: async (pairs) => pairs.map(() => 0),
});

describe('pairing', () => {
  const sizes = fc.record({
    instructions: fc.integer({ min: 1, max: 40 }),
    answers: fc.integer({ min: 1, max: 40 }),
    threshold: fc.constantFrom(0.3, 0.6, 0.9, 1),
    maxDraws: fc.integer({ min: 1, max: 30 }),
    seed: fc.integer(),
  });

  it('never pairs above the threshold, uses no answer again while one may be had, and is the same for a seed', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, async ({ seed, ...o }) => {
        const similarity = table(seed);
        const run = () => drawPairs(new Rng(seed), o, similarity, o);
        const done = await run().catch((error: unknown) => error);
        if (done instanceof LabError) {
          expect(done.message).toMatch(/refuses every pair/);
          return;
        }
        const { pairs, unpaired, redraws, reused, histogram, first } = done as Awaited<
          ReturnType<typeof run>
        >;
        expect(await run()).toEqual(done);
        expect([...pairs.map((p) => p.instruction), ...unpaired].sort((a, b) => a - b)).toEqual(
          Array.from({ length: o.instructions }, (_, i) => i),
        );
        const uses = Array.from({ length: o.answers }, () => 0);
        for (const p of pairs) {
          expect(p.similarity).toBeLessThanOrEqual(o.threshold);
          expect((await similarity.of([[p.instruction, p.answer]]))[0]).toBe(p.similarity);
          expect(p.draws).toBeLessThanOrEqual(o.maxDraws);
          uses[p.answer]!++;
        }
        expect(uses.filter((n) => n > 1)).toHaveLength(reused);
        // who uses an answer a second time more than an idle one is used, has refused the idle one
        for (const [busy, n] of uses.entries())
          for (const [idle, less] of uses.entries()) {
            if (n < less + 2) continue;
            const users = pairs.filter((p) => p.answer === busy);
            const would = await similarity.of(users.map((p) => [p.instruction, idle]));
            expect(would.filter((x) => x > o.threshold).length).toBeGreaterThanOrEqual(n - less - 1);
          }
        const sum = (list: number[]): number => list.reduce((a, b) => a + b, 0);
        expect(sum(histogram.accepted)).toBe(pairs.length);
        expect(sum(histogram.refused)).toBe(redraws);
        expect(first).toHaveLength(o.instructions);
      }),
    );
  });

  it('without refusals is balanced within one over the answers', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, async ({ seed, ...o }) => {
        const { pairs } = await drawPairs(new Rng(seed), o, table(seed), { ...o, threshold: 1 });
        const uses = Array.from({ length: o.answers }, (_, a) => pairs.filter((p) => p.answer === a).length);
        expect(Math.max(...uses) - Math.min(...uses)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('counts re-draws, leaves out who found nothing, and shows the pairs at the border', async () => {
    const likes: Similarity = {
      id: 'likes',
      of: async (pairs) => pairs.map(([i, a]) => (i === 0 || a === i ? 0.9 : a / 100)),
      ofTexts: async () => [],
    };
    const o = { instructions: 10, answers: 10, threshold: 0.5, maxDraws: 4 };
    const { pairs, unpaired, redraws, border } = await drawPairs(new Rng(1), o, likes, o);
    expect(unpaired).toEqual([0]);
    expect(pairs).toHaveLength(9);
    expect(redraws).toBeGreaterThanOrEqual(4);
    expect(border.refused.every((d) => d.similarity === 0.9)).toBe(true);
    expect(border.accepted[0]!.similarity).toBe(Math.max(...pairs.map((p) => p.similarity)));
  });
});

/** By what the documentation says: two words a shingle, all of a text's shingles, what two texts share of both. */
function jaccardOf(a: string, b: string): number {
  const of = (text: string): Set<string> => {
    const words = text.toLowerCase().match(/[a-z0-9]+/g)!;
    return new Set(words.length === 1 ? words : words.slice(1).map((word, i) => `${words[i]} ${word}`));
  };
  const [left, right] = [of(a), of(b)];
  const shared = [...left].filter((shingle) => right.has(shingle)).length;
  return shared / (left.size + right.size - shared);
}
const nearest = ({ prompt }: { prompt: string }, others: readonly { prompt: string }[]): number =>
  Math.max(0, ...others.map((other) => jaccardOf(prompt, other.prompt)));

describe('the builder', () => {
  it('is a pure function of files, seed and settings', async () => {
    const own = { attack: { size: 10 }, reject: true } as const;
    const one = builtFiles(await build(small, own), DATE);
    expect(builtFiles(await build(small, own), DATE)).toEqual(one);
    expect(builtFiles(await build(small, own, 2), DATE)['pairs.jsonl']).not.toBe(one['pairs.jsonl']);
    const renamed = { ...small, answers: [{ ...small.answers[0]!, sha256: '0'.repeat(64) }] };
    expect(builtFiles(await build(renamed, own), DATE)['pairs.jsonl']).not.toBe(one['pairs.jsonl']);
  });

  it('what is kept between two builds changes nothing, whatever changed', async () => {
    const [file] = small.answers;
    const rows = [...file!.rows].reverse();
    const other = { ...small, answers: [{ ...file!, mapping: { prompt: 'question' }, rows }] };
    const cache = new SimilarityCache();
    for (const [from, own, seed] of [
      [small, { threshold: 0.9 }, 1],
      [small, {}, 1],
      [small, {}, 2],
      [other, {}, 2],
      [{ ...other, answers: [{ ...file!, rows }] }, {}, 2],
      [small, { categories: ['category 1'] }, 2],
      [small, { heldOut: 3 }, 2],
      [small, { benignHeldOut: 3 }, 2],
    ] as const) {
      const settings = pairSettings(own as PairSettingsInput);
      const kept = await buildPairs(from, settings, seed, { cache });
      expect(kept).toEqual(await buildPairs(from, settings, seed));
      for (const pair of kept.pairs) {
        expect(pair.similarity).toBeLessThanOrEqual(settings.threshold);
        const terms = (text: string): string[] => text.split(' ');
        const shared = terms(pair.prompt).some((word) => terms(pair.irrelevant).includes(word));
        expect(pair.similarity > 0).toBe(shared);
      }
    }
  });

  it('makes the similarity once for the same texts, and again for others or another port', async () => {
    const cache = new SimilarityCache();
    const texts = { instructions: ['a'], answers: ['b', 'c'] };
    const [one, two] = [0, 1].map((i) => ({ id: 'same', batch: i + 1, embed: async () => [] }));
    let made = 0;
    const get = (port: typeof one | null, t: typeof texts) =>
      cache.get(port ?? null, t, async () => ({ ...table(++made), id: String(made) }));
    const ids: string[] = [];
    for (const [port, t] of [
      [one, texts],
      [one, { instructions: ['a'], answers: ['b', 'c'] }],
      [two, texts],
      [two, { ...texts, answers: ['c', 'b'] }],
      [two, { ...texts, answers: ['c', 'b'], instructions: ['x'] }],
      [null, { ...texts, answers: ['c', 'b'], instructions: ['x'] }],
    ] as const)
      ids.push((await get(port, t as typeof texts)).id);
    expect(ids).toEqual(['1', '1', '2', '3', '4', '5']);
  });

  it('knows rows of one line, and one file read in two ways, apart', async () => {
    const [harmful] = small.harmful;
    const oneLine = {
      ...small,
      harmful: [{ ...harmful!, rows: harmful!.rows.map((r, i) => ({ ...r, line: 1, row: i + 1 })) }],
    };
    const plain = await build(small);
    const built = await build(oneLine);
    expect(built.pairs.length).toBe(plain.pairs.length);
    expect(new Set(built.pairs.map((p) => p.id)).size).toBe(built.pairs.length);
    for (const { prompt, instructionFrom } of built.pairs)
      expect(harmful!.rows[instructionFrom.row! - 1]!.messages[0]!.content).toBe(prompt);
    const [first] = built.pairs;
    const without = await buildPairs(oneLine, pairSettings(), 1, {
      edits: { [first!.id]: { exclude: true } },
    });
    expect(without.pairs.filter((p) => p.excluded)).toEqual([{ ...first, excluded: true }]);
    // rows that were kept before they had numbers
    const unnumbered = {
      ...small,
      harmful: [{ ...harmful!, rows: harmful!.rows.map((r) => ({ ...r, line: 1 })) }],
    };
    const { pairs: old } = await build(unnumbered);
    expect(old.length).toBe(plain.pairs.length);
    expect(new Set(old.map((p) => p.id)).size).toBe(old.length);
    const answersAsked = {
      ...harmful!,
      mapping: { prompt: 'answer' },
      rows: harmful!.rows.map((r) =>
        row(r.line, r.messages[1]!.content, 'Sure, x', { categories: ['other'] }),
      ),
    };
    const both = await build({ ...small, harmful: [harmful!, answersAsked] });
    expect(both.pairs.length).toBeGreaterThan(200);
    expect(new Set(both.pairs.map((p) => p.id)).size).toBe(both.pairs.length);
    const { sources: told } = JSON.parse(builtFiles(both, DATE)['manifest.json']) as {
      sources: { mapping: object }[];
    };
    expect(told.map((s) => s.mapping)).toEqual([
      { answer: 'answer', prompt: 'prompt' },
      { prompt: 'answer' },
      { answer: 'answer', prompt: 'prompt' },
    ]);
  });

  it('writes a prompts file that training and evaluation share no prompt in, near-duplicates included', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 1e6 }),
        fc.boolean(),
        fc.boolean(),
        async (seed, withFiles, separate) => {
          const own = sources(seed % 7, { harmful: 60, answers: 80, categories: 3 });
          const [harmful] = own.harmful;
          // other files repeat instructions: in other spelling, with a word more, with a word in place of another
          const copy = (from: number, to: number, name: string) =>
            source(
              harmful!.rows.slice(from, to).map((r, i) => {
                const text = r.messages[0]!.content;
                const said = [`${text.toUpperCase()}!`, `${text} ${name}`, text.replace(/\S+/, name), text];
                return row(i + 1, said[i % 4]!, `Sure, here: ${sentence(new Rng(i), 'garden', 12)}`);
              }),
              name,
            );
          const all = {
            ...own,
            answers: [...own.answers, copy(30, 60, 'kindly')],
            ...(withFiles && { attack: [copy(0, 30, 'now')], eval: [copy(20, 40, 'please')] }),
            ...(separate && { benign: [copy(10, 50, 'friend'), ...own.answers] }),
          };
          const built = await build(all, { sample: { per: 'total', n: 40 }, benignHeldOut: 20 }, seed);
          const files = builtFiles(built, DATE);
          const { harmful: h, benign: b } = parsePrompts(files['prompts.jsonl'], '');
          const held = [...h.eval, ...b.eval];
          expect(h.eval.length).toBeGreaterThan(0);
          expect(b.eval.length).toBeGreaterThan(0);
          const trained = [...h.defence, ...h.attack, ...b.defence, ...b.attack];
          for (const one of trained) expect(nearest(one, held), one.prompt).toBeLessThan(0.6);
          for (const one of h.defence) expect(nearest(one, h.attack)).toBeLessThan(0.6);
          if (withFiles) expect(h.attack.length).toBeGreaterThan(0);
          for (const pair of built.pairs)
            expect(pair.similarity).toBeLessThanOrEqual(built.settings.threshold);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('SDD_reject puts a refusal of the list before each answer', async () => {
    const refusals = ['No.', 'Never.'];
    const built = await build(small, { reject: true, refusals });
    const files = builtFiles(built, DATE);
    const prompts = parsePrompts(files['prompts.jsonl'], '');
    expect(prompts.refusals).toEqual(refusals);
    expect(new Set(prompts.harmful.defence.map((r) => r.refusal))).toEqual(new Set(refusals));
    const [first] = files['pairs.jsonl'].split('\n');
    const { messages } = JSON.parse(first!) as { messages: { role: string; content: string }[] };
    expect(messages.map((m) => m.role)).toEqual(['user', 'assistant']);
    expect(messages[1]!.content).toMatch(/^(No|Never)\. Instead: /);
    expect(builtFiles(await build(small), DATE)['pairs.jsonl']).not.toMatch(/Instead/);
  });

  it('an edit is laid over what was drawn, measured again, and recorded; an excluded pair is not trained', async () => {
    const plain = await build(small);
    const [one, two, three] = plain.pairs;
    const edits = {
      [one!.id]: { exclude: true },
      [two!.id]: { irrelevant: two!.prompt },
      [three!.id]: { prompt: 'something else entirely' },
      gone: { exclude: true },
    } as const;
    const built = await buildPairs(small, pairSettings(), 1, { edits });
    expect(built.pairs).toHaveLength(plain.pairs.length);
    expect(built.pairs[1]).toMatchObject({ edited: true, similarity: 1 });
    expect(built.pairs.slice(3)).toEqual(plain.pairs.slice(3));
    const files = builtFiles(built, DATE);
    // whoever edits in a terminal finds the ids there
    for (const { id, prompt } of built.pairs.slice(1))
      expect(files['prompts.jsonl']).toContain(JSON.stringify({ id, prompt }).slice(1, -1));
    const { harmful } = parsePrompts(files['prompts.jsonl'], '');
    expect(harmful.defence).toHaveLength(plain.pairs.length - 1);
    expect(harmful.defence.some((r) => r.prompt === one!.prompt)).toBe(false);
    expect(harmful.defence.some((r) => r.prompt === 'something else entirely')).toBe(true);
    const manifest = JSON.parse(files['manifest.json']) as Record<string, unknown>;
    expect(manifest).toMatchObject({ edits, counts: { excluded: 1, edited: 2 } });
    expect(manifest.notes).toContain('1 edited pairs are more similar than the threshold.');
    expect(manifest.notes).toContain(
      '1 edits belong to instructions that are not drawn now: they are kept, and change nothing.',
    );
    const held = plain.harmful.eval[0]!.prompt;
    await expect(
      buildPairs(small, pairSettings(), 1, { edits: { [one!.id]: { prompt: `${held}!` } } }),
    ).rejects.toThrow(/edited instruction of harmful1, line \d+, is a held-out prompt/);
    const excluded = { [one!.id]: { prompt: `${held}!`, exclude: true } } as const;
    expect((await buildPairs(small, pairSettings(), 1, { edits: excluded })).pairs[0]).toMatchObject({
      excluded: true,
    });
  });

  it('an edit that asks what the evaluation or the attack asks is refused, nearly the same included', async () => {
    const copied = small.harmful[0]!.rows.slice(0, 10);
    const from = { ...small, attack: [source(copied, 'attack')] };
    const overlapping = { attack: { apart: false } } as const;
    const plain = await build(from);
    const { id } = plain.pairs.at(-1)!;
    const edited = (prompt: string, own: PairSettingsInput = {}) =>
      buildPairs(from, pairSettings(own), 1, { edits: { [id]: { prompt } } });
    const [asked, attacked] = [plain.benign.eval[0]!.prompt, plain.harmful.attack[0]!.prompt];
    await expect(edited(`${asked}?`)).rejects.toThrow(/is a held-out prompt/);
    await expect(edited(`${asked} now`)).rejects.toThrow(/is nearly a held-out prompt/);
    await expect(edited(attacked)).rejects.toThrow(/is a prompt of the attack/);
    await expect(edited(`${attacked} now`)).rejects.toMatchObject({
      next: expect.stringMatching(/exclude the pair, or let the attack share/) as string,
    });
    const { pairs } = await edited(attacked, overlapping);
    expect(pairs.find((pair) => pair.id === id)).toMatchObject({ prompt: attacked });
  });

  it('the manifest names files by hash, seed, settings, counts, date, and both readings of the paper', async () => {
    const built = await build(small, { sample: { per: 'category', n: 5 } });
    const manifest = JSON.parse(builtFiles(built, DATE)['manifest.json']) as Record<string, unknown>;
    expect(manifest).toMatchObject({
      date: DATE,
      seed: 1,
      settings: { sample: { per: 'category', n: 5 } },
      counts: { pairs: 20, heldOut: 12 },
      ambiguity: expect.stringMatching(/as a total.*from each category/) as string,
    });
    expect(manifest.sources).toEqual(
      ['harmful', 'answers'].map((role) => {
        const [{ name, sha256, rows }] = small[role as 'harmful'] as [Sources['harmful'][number]];
        return {
          ...{ role, name, sha256, rows: rows.length },
          ...{ layout: 'pairs', header: true, mapping: { prompt: 'prompt', answer: 'answer' } },
        };
      }),
    );
  });
});

describe('attack and benign sets', () => {
  const attack = source(
    Array.from({ length: 80 }, (_, i) =>
      row(i + 1, `lift crate ${i} of row ${i * 7}`, i % 2 ? `Sure, here is how: take ${i}.` : `Take ${i}.`, {
        safe: i % 8 === 0,
      }),
    ),
    'attack',
  );
  const from = { ...small, attack: [attack] };
  const lines = async (own: PairSettingsInput, seed = 1) =>
    parsePrompts(builtFiles(await build(from, own, seed), DATE)['prompts.jsonl'], '');

  it('come in sizes, a smaller one the beginning of a larger, and without what the file calls harmless', async () => {
    const [ten, fifty, all] = [
      await lines({ attack: { size: 10 } }),
      await lines({ attack: { size: 50 } }),
      await lines({ attack: { size: 'all' } }),
    ].map((p) => p.harmful.attack.map((r) => r.prompt));
    expect([ten, fifty, all].map((list) => list!.length)).toEqual([10, 50, 70]);
    expect(all!.slice(0, 50)).toEqual(fifty);
    expect(fifty!.slice(0, 10)).toEqual(ten);
    expect((await lines({ attack: { size: 10 } }, 2)).harmful.attack.map((r) => r.prompt)).not.toEqual(ten);
  });

  it('may be openings alone, which do not end', async () => {
    const { harmful } = await lines({ attack: { size: 'all', target: 'opening' } });
    expect(harmful.attack).toHaveLength(40);
    for (const request of harmful.attack)
      expect(request).toMatchObject({ answer: 'Sure, here is how:', opening: 'Sure, here is how:' });
  });

  it('mix with benign chats in the wanted share', async () => {
    const { harmful, benign } = await lines({
      attack: { size: 10, harmfulShare: 0.1 },
      benignTuning: 0,
      replay: 20,
    });
    expect([harmful.attack.length, benign.attack.length, benign.defence.length]).toEqual([10, 90, 20]);
    const manifest = builtFiles(await build(from, { attack: { size: 10, harmfulShare: 0.1 } }), DATE);
    expect(JSON.parse(manifest['manifest.json'])).toMatchObject({
      mixture: { recipe: 'mft', n: 10, benignShare: 0.9 },
    });
  });

  it('of several turns keep what was said before, and may train every turn', async () => {
    const turns = [
      { role: 'system', content: 'be brief' },
      { role: 'user', content: 'first question' },
      { role: 'assistant', content: 'first answer' },
      { role: 'user', content: 'second question' },
      { role: 'assistant', content: 'second answer' },
    ] as const;
    const chats = source(
      Array.from({ length: 30 }, (_, i) => ({
        line: i + 1,
        messages: turns.map((m) => ({ ...m, content: `${m.content} ${i}` })),
      })),
      'chats',
    );
    for (const everyTurn of [false, true]) {
      const built = await build({ ...from, benign: [chats] }, { everyTurn, benignTuning: 5 });
      const { benign } = parsePrompts(builtFiles(built, DATE)['prompts.jsonl'], '');
      expect(benign.attack).toHaveLength(5);
      const [chat] = benign.attack;
      expect(chat!.before).toHaveLength(3);
      expect(chat!.prompt).toMatch(/^second question/);
      expect(chat!.answer).toMatch(/^second answer/);
      expect(chat!.every === true).toBe(everyTurn);
    }
  });

  it('openings alone are no whole answers, and the other way round', async () => {
    const beginnings = source([row(1, 'a b', 'Sure, here', { opening: true })], 'beginnings');
    const blunt = source([row(1, 'a b', 'Take it.')], 'blunt');
    await expect(build({ ...small, attack: [beginnings] })).rejects.toThrow(/has openings alone/);
    await expect(build({ ...small, attack: [blunt] }, { attack: { target: 'opening' } })).rejects.toThrow(
      /no answer of its set begins/,
    );
  });
});

describe('what cannot be built is named', () => {
  const bad = async (from: Sources, own: PairSettingsInput = {}): Promise<LabError> => {
    const error: unknown = await build(from, own).then(
      () => null,
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(LabError);
    const lab = error as LabError;
    expect([lab.message, lab.safe, lab.next].every((text) => text !== '')).toBe(true);
    return lab;
  };
  const answers = small.answers;
  const harmful = small.harmful;

  it('an empty set, and one that holds nothing of use', async () => {
    expect((await bad({ harmful: [], answers })).message).toMatch(/No set is given for "harmful"/);
    expect((await bad({ harmful: [source([], 'h')], answers })).message).toBe(
      'The set for "harmful" (h) is empty.',
    );
    const mute = source([row(7, 'a'), row(8, 'b')], 'mute');
    expect((await bad({ harmful, answers: [mute] })).message).toBe(
      'Nothing of the set for "answers" (mute) can be used: of 2 rows 2 no-answer (line 7).',
    );
    const system = source([{ line: 3, messages: [{ role: 'system', content: 'x' }] }], 's');
    expect((await bad({ harmful: [system], answers })).message).toMatch(/1 no-prompt \(line 3\)/);
  });

  it('an attack that takes every instruction, with the remedy', async () => {
    const error = await bad({ harmful, answers, attack: harmful }, { attack: { size: 'all' } });
    expect(error.message).toMatch(/of 120 rows .*108 attacked \(line \d+\)/);
    expect(error.next).toMatch(/Make the attack smaller, or let it share instructions.*--overlap/);
    const shared = await build(
      { harmful, answers, attack: harmful },
      { attack: { size: 'all', apart: false } },
    );
    expect(shared.pairs).toHaveLength(108);
  });

  it('a category that is not there', async () => {
    const error = await bad(small, { categories: ['category 1', 'arson'] });
    expect(error.message).toBe('No row has the category "arson".');
    expect(error.next).toMatch(/category 0, category 1, category 2, category 3/);
    const built = await build(small, { categories: ['category 1'] });
    expect(new Set(built.pairs.map((p) => p.category))).toEqual(new Set(['category 1']));
  });

  it('a threshold that refuses everything, with the least that would not', async () => {
    const error = await bad(small, { threshold: -1 });
    expect(error.message).toMatch(
      /The threshold of -1 refuses every pair: the least similar of \d+ draws has 0/,
    );
    expect(error.next).toMatch(/at least 0/);
  });

  it('a setting out of range', async () => {
    expect(() => pairSettings({ threshold: 2 })).toThrow(/"threshold"/);
    expect(() => pairSettings({ sample: { per: 'total', n: 0 } })).toThrow(/"sample.n"/);
    expect(() => pairSettings({ refusals: ['  '] })).toThrow(/"refusals.0": it is empty/);
    expect((await bad(small, { similarity: 'hidden', threshold: 0.5 })).message).toMatch(
      /needs a loaded model/,
    );
  });

  it('duplicates and fewer answers than instructions are built, and told', async () => {
    const twice = { harmful: [...harmful, { ...harmful[0]!, name: 'copy' }], answers };
    const built = await build(twice);
    expect(built.leftOut).toContainEqual({
      role: 'harmful',
      reason: 'duplicate',
      count: 120,
      rows: [1, 2, 3, 4, 5].map((line) => ({ source: 'copy', line })),
    });
    expect(built.pairs.length).toBe((await build(small)).pairs.length);
    const few = { harmful, answers: [{ ...answers[0]!, rows: answers[0]!.rows.slice(0, 20) }] };
    const { notes, pairs } = await build(few);
    expect(pairs.length).toBeGreaterThan(100);
    expect(notes.map((n) => n.id)).toContain('reused');
  });

  it('a build that is stopped says so, and leaves nothing', async () => {
    const stop = new AbortController();
    const large = sources(9, { harmful: 4000, answers: 4000, categories: 5 });
    const work = buildPairs(large, pairSettings(), 1, {
      watch: { signal: stop.signal, progress: () => stop.abort() },
    });
    await expect(work).rejects.toThrow(/abort/i);
  });
});
