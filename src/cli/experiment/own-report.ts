import { Rng } from '../../core/rng.ts';
import { hierarchicalBootstrap, mean, wilson, type Interval } from '../../core/stats.ts';
import { RULE_VERDICTS, type RuleVerdict } from '../../core/verdicts.ts';
import type { HeldOutScore } from '../../eval/held-out.ts';

import type { OwnCell } from './own.ts';
import type { Figure } from '../../eval/intervals.ts';

/** Held-out answers that the terminal shows of each row, and letters of each. */
const SAMPLES = 2;
const LETTERS = 110;

/** What repetitions with different seeds say together. */
export interface OwnFigures {
  /** Prompts that each of them asked, and reference answers that their losses are of. */
  n: number;
  references: number;
  /** Mean share of each verdict, with its 95 % interval. */
  rates: Record<RuleVerdict, Figure>;
  /** Mean of the losses, and the lowest and highest; null where there are no references. */
  loss: { mean: number; range: Interval } | null;
  /** Of the mean loss. */
  perplexity: number | null;
}

export interface OwnRow {
  model: string;
  attack: string;
  steps: number;
  /** Repetitions that the row is of; 1 for what depends on no seed. */
  runs: number;
  harmful: OwnFigures;
  benign: OwnFigures;
}

/**
 * A share over repetitions. One: Wilson over its prompts. Several ask the same prompts: bootstrap, seed > prompt, and never
 * narrower than Wilson over the prompts of one, since seeds that agree do not make the prompts more.
 */
function rateFigure(runs: readonly HeldOutScore[], kind: RuleVerdict): Figure {
  const [first] = runs;
  const value = mean(runs.map(({ counts, n }) => counts[kind] / n));
  if (runs.length === 1 || first!.n === 0) return { value, interval: first!.intervals[kind] };
  const nested = runs.map(({ answers }) => answers.map((a) => (a.verdict === kind ? 1 : 0)));
  const seeds = hierarchicalBootstrap(nested, new Rng('experiment/bootstrap')).interval;
  const prompts = wilson(value * first!.n, first!.n);
  return { value, interval: [Math.min(seeds[0], prompts[0]), Math.max(seeds[1], prompts[1])] };
}

function figures(runs: readonly HeldOutScore[]): OwnFigures {
  const { n, references } = runs[0]!;
  const losses = runs.flatMap(({ loss }) => (loss === null ? [] : [loss]));
  const loss =
    losses.length === 0
      ? null
      : { mean: mean(losses), range: [Math.min(...losses), Math.max(...losses)] as Interval };
  return {
    n,
    references,
    rates: Object.fromEntries(RULE_VERDICTS.map((kind) => [kind, rateFigure(runs, kind)])) as Record<
      RuleVerdict,
      Figure
    >,
    loss,
    perplexity: loss && Math.exp(loss.mean),
  };
}

/** One row for each look, joined over the repetitions, in the order in which they first came. */
export function ownRows(cells: readonly OwnCell[]): OwnRow[] {
  const groups = new Map<string, OwnCell[]>();
  for (const cell of cells) {
    const look = JSON.stringify([cell.model, cell.attack, cell.steps]);
    groups.set(look, [...(groups.get(look) ?? []), cell]);
  }
  return [...groups.values()].map((all) => {
    // what depends on no seed comes with every repetition and counts once
    const own = [...new Map(all.map((cell) => [JSON.stringify(cell.seeds), cell])).values()];
    const { model, attack, steps } = own[0]!;
    const of = (kind: 'harmful' | 'benign'): OwnFigures => figures(own.map((cell) => cell.scores[kind]));
    return { model, attack, steps, runs: own.length, harmful: of('harmful'), benign: of('benign') };
  });
}

const pct = (x: number): string => (100 * x).toFixed(0);
const num = (x: number): string => x.toPrecision(3);

const columns = ({ rates, loss, perplexity }: OwnFigures, runs: number): string[] => [
  ...RULE_VERDICTS.map((kind) => {
    const { value, interval } = rates[kind];
    return Number.isNaN(value) ? '-' : `${pct(value)} [${interval.map(pct).join(' ')}]`;
  }),
  loss === null ? '-' : runs === 1 ? num(loss.mean) : `${num(loss.mean)} (${loss.range.map(num).join(' ')})`,
  perplexity === null ? '-' : num(perplexity),
];

/** Rates are per cent of the held-out prompts; losses are of their reference answers, in nats a token. */
export function ownTables(rows: readonly OwnRow[]): string {
  const head = ['model', 'attack', 'seeds', 'refused', 'same', 'degen.', 'not judged', 'loss', 'ppl'];
  const several = rows.some((r) => r.runs > 1);
  const tables = (['harmful', 'benign'] as const).map((kind) => {
    const body = rows.map((r) => [
      r.model,
      r.attack === 'none' ? 'none' : `${r.attack} @${r.steps}`,
      String(r.runs),
      ...columns(r[kind], r.runs),
    ]);
    const { n, references } = rows[0]?.[kind] ?? { n: 0, references: 0 };
    return [
      `Held-out ${kind} prompts, n = ${n}, by uncalibrated rules: per cent with 95 % intervals ${
        several ? '(bootstrap over seeds and prompts, no narrower than Wilson over prompts)' : '(Wilson)'
      };`,
      `loss in nats a token${several ? ', lowest and highest seed,' : ''} and perplexity of ${references} reference answers`,
      textTable(head, body),
    ].join('\n');
  });
  return tables.join('\n\n');
}

function textTable(head: readonly string[], body: readonly (readonly string[])[]): string {
  const widths = head.map((h, i) => Math.max(h.length, ...body.map((row) => row[i]!.length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  return [line(head), ...body.map(line)].join('\n');
}

/** The first answers of every row of one repetition, side by side for the same prompts. */
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
