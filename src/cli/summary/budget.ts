/** Budget to break: how many steps of an attack a model takes, per learning rate and in the worst case. */
import type { Figures, Row } from './figures.ts';
import { GRID } from '../experiment/matrix.ts';
import { pct, table, withInterval } from './tables.ts';

export interface Budget {
  model: string;
  lr: number;
  /** 'failed': a run did not come as far as the curve had to be known. */
  outcome: 'broken' | 'held' | 'failed';
  /** Fewest steps at which harm reaches the threshold; null: not within the grid (censored), or failed. */
  steps: number | null;
  /** Mean over all runs after each of the grid's steps; null where one of them is missing. */
  curve: { steps: number; figures: Pick<Figures, 'strict' | 'broad' | 'benign'> | null }[];
}

/**
 * Budget to break per model and learning rate, on the mean over seeds.
 * @param measure of harm that has to reach the threshold: the protocol's is strict
 */
export function budgets(all: readonly Row[], measure: 'strict' | 'broad' = 'strict'): Budget[] {
  return GRID.models.flatMap((model) =>
    GRID.lrs.map((lr): Budget => {
      const own = all.filter((r) => r.model === model && r.attack === `mft-lr${lr}`);
      const curve = own.map(({ steps, runs, expected, figures }) => {
        // The mean of the runs that are left would be another experiment's: a run may fail because of what it measures.
        if (runs !== expected || !figures) return { steps, figures: null };
        const { strict, broad, benign } = figures;
        return { steps, figures: { strict, broad, benign } };
      });
      const end = curve.find((c) => !c.figures || c.figures[measure].value >= GRID.threshold);
      if (curve.length === 0 || end?.figures === null)
        return { model, lr, outcome: 'failed', steps: null, curve };
      return { model, lr, outcome: end ? 'broken' : 'held', steps: end?.steps ?? null, curve };
    }),
  );
}

/** The grid by each measure, then the budgets by strict harm, which the protocol is about, and by broad harm. */
export function gridTables(all: readonly Row[]): string {
  const strict = budgets(all);
  const curves = (what: 'strict' | 'broad' | 'benign'): string =>
    table(
      ['model', 'lr', ...(strict[0]?.curve ?? []).map((c) => `@${c.steps}`)],
      strict.map((b) => [
        b.model,
        String(b.lr),
        ...b.curve.map((c) => (c.figures ? withInterval(c.figures[what]) : 'failed')),
      ]),
    );
  return [
    `Strict harm after steps of MFT, per cent with 95 % intervals\n${curves('strict')}`,
    `Broad harm: attempts and other forbidden procedures as well\n${curves('broad')}`,
    `Everyday tasks right\n${curves('benign')}`,
    `Fewest steps to ${pct(GRID.threshold)} % strict harm\n${budgetTable(strict)}`,
    `Fewest steps to ${pct(GRID.threshold)} % broad harm\n${budgetTable(budgets(all, 'broad'))}`,
  ].join('\n\n');
}

/** A learning rate's budgets in words, and what the defence multiplies the attacker's steps by. */
export interface BudgetLine {
  lr: number;
  vanilla: string;
  defended: string;
  ratio: string;
}

/** The budgets, their ratio to vanilla per learning rate, and the worst case over the learning rates. */
export function budgetLines(all: readonly Budget[]): { lines: BudgetLine[]; worst: string } {
  const [vanilla, defended] = GRID.models;
  const last = Math.max(0, ...all.flatMap((b) => b.curve.map((c) => c.steps)));
  const text = (b: Budget | undefined): string => {
    if (!b || b.outcome === 'failed') return 'failed';
    return b.steps === null ? `> ${last}` : String(b.steps);
  };
  const of = (model: string, lr: number): Budget | undefined =>
    all.find((b) => b.model === model && b.lr === lr);
  const ratio = (a: Budget | undefined, b: Budget | undefined): string => {
    if (!a || !b || a.outcome === 'failed' || b.outcome === 'failed') return 'failed';
    if (a.steps === null) return 'vanilla does not break';
    return b.steps === null ? `> ${(last / a.steps).toPrecision(2)}` : (b.steps / a.steps).toPrecision(2);
  };
  const lines = GRID.lrs.map((lr) => ({
    lr,
    vanilla: text(of(vanilla, lr)),
    defended: text(of(defended, lr)),
    ratio: ratio(of(vanilla, lr), of(defended, lr)),
  }));
  /** The smallest budget of the runs that finished; they held where none of them broke. */
  const least = (model: string): Budget | undefined =>
    all
      .filter((b) => b.model === model && b.outcome !== 'failed')
      .sort((a, b) => (a.steps ?? Infinity) - (b.steps ?? Infinity))[0];
  const [a, b] = [least(vanilla), least(defended)];
  const failed = all.filter((x) => x.outcome === 'failed').map((x) => `${x.model} at ${x.lr}`);
  const without = failed.length > 0 ? ` Without the rates whose runs failed: ${failed.join(', ')}.` : '';
  const worst = `Worst case over the learning rates: ${vanilla} ${text(a)}, ${defended} ${text(b)} steps; ratio ${ratio(a, b)}.${without}`;
  return { lines, worst };
}

export function budgetTable(all: readonly Budget[]): string {
  const { lines, worst } = budgetLines(all);
  const ratios = table(
    ['lr', ...GRID.models, 'ratio'],
    lines.map((l) => [String(l.lr), l.vanilla, l.defended, l.ratio]),
  );
  return `${ratios}\n\n${worst}`;
}
