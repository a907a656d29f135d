import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Rng } from '../../src/core/rng.ts';
import { jaccard, NEAR_JACCARD, NearDuplicates, shingles, signature } from '../../src/data/pairs/near.ts';
import { Embedded, type SimilarityPort } from '../../src/data/pairs/similarity.ts';
import { TfIdf } from '../../src/data/pairs/tfidf.ts';
import { terms, Vocabulary } from '../../src/data/pairs/vocabulary.ts';

const words = fc
  .array(fc.constantFrom(...'abcdefghijklmnop'), { minLength: 1, maxLength: 30 })
  .map((list) => list.join(' '));

/** Two words a shingle, as texts. */
const pairsOf = (text: string): Set<string> => {
  const list = text.split(' ');
  return new Set(list.length < 2 ? list : list.slice(1).map((word, i) => `${list[i]} ${word}`));
};
function shareOf(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  let shared = 0;
  for (const x of a) if (b.has(x)) shared++;
  return shared / (a.size + b.size - shared);
}
/** The Jaccard index by sets of texts. */
const exact = (a: string, b: string): number => shareOf(pairsOf(a), pairsOf(b));

/** A text with some of its words replaced. */
const changed = (rng: Rng, text: string, words: number): string => {
  const list = text.split(' ');
  for (let n = 0; n < words; n++) list[rng.int(list.length)] = `new${rng.int(1e6)}`;
  return list.join(' ');
};

describe('near-duplicates', () => {
  it('hashed shingles have the exact Jaccard index', () => {
    fc.assert(
      fc.property(words, words, (a, b) => {
        expect(jaccard(shingles(a), shingles(b))).toBe(exact(a, b));
      }),
    );
  });

  it('of scripts without spaces count characters: a changed word is found, another request is not', () => {
    const near = new NearDuplicates([
      '如何制作一个简单的木头箱子并给它上锁',
      '銀の金庫を開ける方法を詳しく教えてください',
      'เปิดตู้นิรภัยสีเงินอย่างไร',
    ]);
    expect(near.find('如何制作一个简单的铁皮箱子并给它上锁')?.index).toBe(0);
    expect(near.find('銀の金庫を開ける手順を詳しく教えてください')?.index).toBe(1);
    expect(near.find('เปิดตู้นิรภัยสีทองอย่างไร')?.index).toBe(2);
    for (const other of [
      '如何烤一个简单的蛋糕并给它抹上奶油',
      '庭のバラに水をやる方法を教えてください',
      'ปลูกกุหลาบในสวนอย่างไร',
    ])
      expect(near.find(other)).toBeNull();
    // mixed: words of Latin letters stay words
    expect(shingles('use 木头 today').size).toBe(3);
  });

  it('signatures estimate it without bias', () => {
    const rng = new Rng(1);
    let [error, squares] = [0, 0];
    const runs = 400;
    for (let n = 0; n < runs; n++) {
      const a = Array.from({ length: 20 }, () => `w${rng.int(500)}`).join(' ');
      const b = changed(rng, a, rng.int(12));
      const [x, y] = [signature(shingles(a)), signature(shingles(b))];
      const d = x.reduce((sum, h, i) => sum + Number(h === y[i]), 0) / x.length - exact(a, b);
      error += d / runs;
      squares += d ** 2 / runs;
    }
    // 126 independent hashes: at most sqrt(0.25 / 126) = 0.045 each
    expect(Math.sqrt(squares)).toBeLessThan(0.045);
    expect(Math.abs(error)).toBeLessThan(0.006);
  });

  it('are found as comparing all with all would find them', () => {
    const rng = new Rng(2);
    const all = Array.from({ length: 300 }, (_, i) =>
      Array.from({ length: 6 + (i % 20) }, () => `w${rng.int(300)}`).join(' '),
    );
    const near = new NearDuplicates(all);
    const sets = all.map(pairsOf);
    let found = 0;
    for (let n = 0; n < 1500; n++) {
      const text = changed(rng, rng.pick(all), rng.int(6));
      const own = pairsOf(text);
      const best = sets.reduce((max, other) => Math.max(max, shareOf(own, other)), 0);
      const got = near.find(text);
      if (best < NEAR_JACCARD) expect(got).toBeNull();
      else {
        found++;
        expect(got?.jaccard).toBe(best);
      }
    }
    expect(found).toBeGreaterThan(300);
  });
});

/** Cosine of dense vectors, straight from the formula. */
function naive(instructions: string[], answers: string[], i: number, a: number): number {
  const all = [...instructions, ...answers].map((text) => text.toLowerCase().split(' '));
  const vocabulary = [...new Set(all.flat())];
  const vector = (doc: string[]): number[] =>
    vocabulary.map((word) => {
      const tf = doc.filter((w) => w === word).length;
      const df = all.filter((d) => d.includes(word)).length;
      return tf === 0 ? 0 : (1 + Math.log(tf)) * (Math.log((1 + all.length) / (1 + df)) + 1);
    });
  const [x, y] = [vector(all[i]!), vector(all[instructions.length + a]!)];
  const dot = (u: number[], v: number[]): number => u.reduce((sum, p, k) => sum + p * v[k]!, 0);
  return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
}

describe('TF-IDF', () => {
  it('numbers the words that a text has, the same for the same word in whatever text', () => {
    const parts = fc.oneof(
      fc.constantFrom('Word', 'WORD', 'word', 'naïve', 'ﬁne', '金庫', '열쇠를', 'B2b', '-', '_', "'", '\n'),
      fc.string({ unit: 'binary', maxLength: 6 }),
    );
    fc.assert(
      fc.property(fc.array(fc.array(parts, { maxLength: 8 }), { maxLength: 4 }), (texts) => {
        const vocabulary = new Vocabulary();
        const numbers = new Map<string, number>();
        for (const text of texts.map((list) => list.join(' '))) {
          const got: number[] = [];
          vocabulary.each(text, true, (id) => got.push(id));
          for (const word of terms(text)) if (!numbers.has(word)) numbers.set(word, numbers.size);
          expect(got).toEqual(terms(text).map((word) => numbers.get(word)));
          const again: number[] = [];
          vocabulary.each(`${text} unheard`, false, (id) => again.push(id));
          expect(again).toEqual(got);
        }
        expect(vocabulary.size).toBe(numbers.size);
      }),
    );
  });

  it('keeps the numbers while its table grows', () => {
    const vocabulary = new Vocabulary();
    for (const _ of [0, 1])
      for (let i = 0; i < 60_000; i++) vocabulary.each(`w${i}`, true, (id) => id === i || expect(id).toBe(i));
    expect(vocabulary.size).toBe(60_000);
  });

  it('is the cosine of the dense vectors', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(words, { minLength: 1, maxLength: 6 }),
        fc.array(words, { minLength: 1, maxLength: 6 }),
        async (instructions, answers) => {
          const tfidf = await TfIdf.fit(instructions, answers);
          for (const i of instructions.keys())
            for (const a of answers.keys()) {
              const [got] = await tfidf.of([[i, a]]);
              expect(got).toBeCloseTo(naive(instructions, answers, i, a), 5);
              expect(await tfidf.ofTexts([[instructions[i]!, answers[a]!]])).toEqual([got]);
            }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('takes words of any writing: letters and digits, without case, East Asian ones in pairs', () => {
    expect(terms('How do I OPEN the Vault №2?')).toEqual(['how', 'do', 'i', 'open', 'the', 'vault', 'no2']);
    expect(terms('Straße—café')).toEqual(['straße', 'café']);
    expect(terms('금고를 여는 법')).toEqual(['금고', '고를', '여는', '법']);
    expect(terms('東京タワーはGPUで')).toEqual(['東京', '京タ', 'タワ', 'ワー', 'ーは', 'gpu', 'で']);
    expect(terms('… — !')).toEqual([]);
  });

  it('tells a text about the same from one about something else, also in Korean; no word, no similarity', async () => {
    const instructions = ['How do I open the silver vault?', '은빛 금고를 여는 방법을 알려 줘', '...'];
    const answers = [
      'To open the silver vault, turn its key twice.',
      'Basil wants sun and little water.',
      '은빛 금고는 열쇠를 두 번 돌리면 열립니다.',
      '바질은 햇빛을 좋아합니다.',
    ];
    const tfidf = await TfIdf.fit(instructions, answers);
    const [same, other, alike, unlike, none] = await tfidf.of([
      [0, 0],
      [0, 1],
      [1, 2],
      [1, 3],
      [2, 0],
    ]);
    expect(same).toBeGreaterThan(0.4);
    expect(other).toBe(0);
    expect(alike).toBeGreaterThan(0.1);
    expect(unlike).toBeLessThan(0.05);
    expect(none).toBe(0);
  });

  it('takes 8,000 instructions and 50,000 answers, and as many pairs, in less than 20 seconds', async () => {
    const rng = new Rng(3);
    // word frequencies as in natural text: the r-th most frequent word 1/r as often (Zipf)
    const word = (): string => `w${Math.floor(Math.exp(rng.next() * Math.log(60_000)))}`;
    const texts = (n: number, length: number): string[] =>
      Array.from({ length: n }, () => Array.from({ length: 1 + rng.int(2 * length) }, word).join(' '));
    const [instructions, answers] = [texts(8000, 12), texts(50_000, 60)];
    const start = performance.now();
    const tfidf = await TfIdf.fit(instructions, answers);
    await tfidf.of(instructions.map((_, i) => [i, i * 6] as const));
    const seconds = (performance.now() - start) / 1000;
    process.stderr.write(`\nTF-IDF, 8,000 instructions and 50,000 answers: ${seconds.toFixed(1)} s\n`);
    expect(seconds).toBeLessThan(20);
  });
});

describe('similarity by vectors', () => {
  /** Letters counted, far from the origin, as a language model's states lie. */
  const port = (): SimilarityPort & { asked: string[] } => {
    const asked: string[] = [];
    return {
      id: 'letters',
      batch: 3,
      asked,
      embed: async (texts) => {
        asked.push(...texts);
        return texts.map((text) =>
          Float32Array.from([...'abcd'], (letter) => 100 + text.split(letter).length),
        );
      },
    };
  };

  it('is taken around the mean, and embeds no text twice', async () => {
    const letters = port();
    const like = new Embedded(letters, ['aaaa', 'bbbb'], ['aaa', 'bbb', 'ccc']);
    const [same, other] = await like.of([
      [0, 0],
      [0, 1],
      [1, 2],
    ]);
    expect(same).toBeGreaterThan(0.8);
    expect(other).toBeLessThan(0);
    expect(await like.of([[0, 0]])).toEqual([same]);
    expect(await like.ofTexts([['aaaa', 'aaa']])).toEqual([same]);
    expect(letters.asked.sort()).toEqual(['aaa', 'aaaa', 'bbb', 'bbbb', 'ccc']);
  });

  it('that is not finite is refused by name', async () => {
    const broken = { ...port(), embed: async () => [Float32Array.of(NaN), Float32Array.of(1)] };
    await expect(new Embedded(broken, ['one'], ['two']).of([[0, 0]])).rejects.toThrow(
      /"one" is not a finite/,
    );
  });
});
