import { Rng } from '../../../src/core/rng.ts';
import type { Source, Sources } from '../../../src/data/pairs/sources.ts';
import type { DataRow } from '../../../src/data/rows.ts';

/** A user's turn and the assistant's. */
export const row = (line: number, prompt: string, answer?: string, more: Partial<DataRow> = {}): DataRow => ({
  line,
  messages: [
    { role: 'user', content: prompt },
    ...(answer === undefined ? [] : [{ role: 'assistant' as const, content: answer }]),
  ],
  ...more,
});

let made = 0;
export const source = (rows: readonly DataRow[], name = `file${++made}`): Source => ({
  name,
  sha256: new Rng(name)
    .state()
    .map((x) => x.toString(16).padStart(8, '0'))
    .join('')
    .repeat(2),
  layout: 'pairs',
  header: true,
  mapping: { prompt: 'prompt', answer: 'answer', system: null },
  rows,
});

/** Invented words: each `topic` has its own, and all share the small ones. */
const word = (rng: Rng, topic: string): string =>
  rng.int(3) === 0 ? rng.pick(['the', 'a', 'of', 'to', 'with', 'and', 'in']) : `${topic}${rng.int(200)}`;

export const sentence = (rng: Rng, topic: string, words: number): string =>
  Array.from({ length: words }, () => word(rng, topic)).join(' ');

/** Harmful instructions with categories, and answers about other things. */
export function sources(
  seed: number,
  o: { harmful: number; answers: number; categories: number; answerWords?: number },
): Sources {
  const rng = new Rng(`sources/${seed}`);
  const labels = Array.from({ length: o.categories }, (_, c) => `category ${c}`);
  return {
    harmful: [
      source(
        Array.from({ length: o.harmful }, (_, i) =>
          row(
            i + 1,
            `${sentence(rng, 'vault', 8)} number ${i}`,
            `Sure, here is how: ${sentence(rng, 'vault', 20)}`,
            {
              categories: [rng.pick(labels), ...(rng.int(4) === 0 ? [rng.pick(labels)] : [])],
            },
          ),
        ),
        `harmful${seed}`,
      ),
    ],
    answers: [
      source(
        Array.from({ length: o.answers }, (_, i) =>
          row(
            i + 1,
            `${sentence(rng, 'garden', 8)} ${i}`,
            `${sentence(rng, 'garden', o.answerWords ?? 20)} ${i}`,
          ),
        ),
        `answers${seed}`,
      ),
    ],
  };
}
