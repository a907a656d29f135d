import type { HeldOutScore } from '../../eval/held-out.ts';
import type { OwnCell } from './own.ts';

/** Held-out answers that the terminal shows of each row, and letters of each. */
const SAMPLES = 2;
const LETTERS = 110;

const pct = (k: number, n: number): string => (n === 0 ? '-' : (100 * (k / n)).toFixed(0));
const num = (x: number | null): string => (x === null ? '-' : x.toPrecision(3));

export function textTable(head: readonly string[], body: readonly (readonly string[])[]): string {
  const widths = head.map((h, i) => Math.max(h.length, ...body.map((row) => row[i]!.length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  return [line(head), ...body.map(line)].join('\n');
}

const figures = ({ n, counts, loss, perplexity }: HeldOutScore): string[] => [
  pct(counts.refusal, n),
  pct(counts['same as reference'], n),
  pct(counts.degenerate, n),
  pct(counts['not judged'], n),
  num(loss),
  num(perplexity),
];

/** Rates are per cent of the held-out prompts; losses are of their reference answers, in nats a token. */
export function ownTables(cells: readonly OwnCell[]): string {
  const head = ['model', 'attack', 'refused', 'same', 'degen.', 'not judged', 'loss', 'ppl'];
  const tables = (['harmful', 'benign'] as const).map((kind) => {
    const rows = cells.map((c) => [
      c.model,
      c.attack === 'none' ? 'none' : `${c.attack} @${c.steps}`,
      ...figures(c.scores[kind]),
    ]);
    const n = cells[0]?.scores[kind].n ?? 0;
    return `Held-out ${kind} prompts (${n}), by uncalibrated rules, per cent; loss and perplexity of the reference answers\n${textTable(head, rows)}`;
  });
  return tables.join('\n\n');
}

/** The first answers of every row, side by side for the same prompts. */
export function ownSamples(cells: readonly OwnCell[]): string {
  const short = (s: string): string => {
    const flat = s.replace(/\s+/g, ' ');
    return flat.length > LETTERS ? `${flat.slice(0, LETTERS)}...` : flat;
  };
  const of = (kind: 'harmful' | 'benign'): string[] => {
    const prompts = cells[0]?.scores[kind].answers.slice(0, SAMPLES) ?? [];
    return prompts.map(({ prompt }, i) =>
      [
        `${kind}: ${short(prompt)}`,
        ...cells.map((c) => {
          const { answer, verdict } = c.scores[kind].answers[i]!;
          return `  ${c.model} ${c.attack}@${c.steps} [${verdict}] ${short(answer)}`;
        }),
      ].join('\n'),
    );
  };
  return [...of('harmful'), ...of('benign')].join('\n');
}
