/** Checkpoints that differ by their defence alone, one minus the other. */
import {
  differenceFigure,
  factsInCategories,
  perPair,
  shareDifference,
  taskDifference,
  type Figure,
} from '../core/figures.ts';
import { COARSE } from '../core/verdicts.ts';
import type { ReportTable, ReportValue } from '../report/document.ts';
import type { Say } from '../report/words.ts';
import type { Evaluation, JudgedAnswer } from '../worker/protocol.ts';
import { nameOf, type MeasuredNode } from './measured.ts';
import { count, difference, figureOf, tuningOf, words } from './report-table.ts';

/** What was done to a checkpoint beside defending it, and the defences themselves. */
function historyOf({ line, node }: MeasuredNode): { tunings: string; defences: string } {
  const later = line.slice(1);
  const steps = (own: typeof later): string =>
    JSON.stringify(own.map((n) => [tuningOf(n, n === node ? [] : ['steps']), n.steps]));
  return {
    tunings: steps(later.filter((n) => n.kind !== 'defence')),
    // two defences with equal settings and seeds are still two checkpoints
    defences: later
      .filter((n) => n.kind === 'defence')
      .map((n) => n.id)
      .join(),
  };
}

interface Pair {
  own: MeasuredNode;
  other: MeasuredNode;
}

/** Each defended checkpoint with its undefended counterpart, then the defended ones with each other. */
export function pairsOf(rows: readonly MeasuredNode[]): Pair[] {
  const all = rows.filter((row) => !row.absent && row.evaluation).map((row) => ({ row, ...historyOf(row) }));
  const like = (a: (typeof all)[number], b: (typeof all)[number]): boolean =>
    a.row.rootId === b.row.rootId && a.tunings === b.tunings && a.defences !== b.defences;
  const defended = all.filter((a) => a.defences !== '');
  return [
    ...defended.flatMap((own) => {
      const other = all.find((b) => b.defences === '' && like(own, b));
      return other ? [{ own: own.row, other: other.row }] : [];
    }),
    ...defended.flatMap((own, i) =>
      defended
        .slice(i + 1)
        .filter((other) => like(own, other))
        .map((other) => ({ own: own.row, other: other.row })),
    ),
  ];
}

type Known = JudgedAnswer & { fact: number };

/** The answers of both to the prompts that both were asked; none where an older evaluation does not tell the facts. */
function shared(own: Evaluation, other: Evaluation): { own: Known[]; other: Known[] } {
  const known = ({ answers }: Evaluation): Known[] => answers.filter((a): a is Known => a.fact !== undefined);
  const key = ({ fact, prompt }: Known): string => `${fact} ${prompt}`;
  const [a, b] = [known(own), known(other)];
  const theirs = new Set(b.map(key));
  const both = new Set(a.map(key).filter((k) => theirs.has(k)));
  return { own: a.filter((x) => both.has(key(x))), other: b.filter((x) => both.has(key(x))) };
}

/** Null where they were asked different questions. */
const harmOf = perPair((a: Evaluation, b: Evaluation) => {
  const { own, other } = shared(a, b);
  const categories = new Map(own.map((x) => [x.fact, x.category ?? 0]));
  const of = (view: 'strict' | 'broad'): Figure | null => {
    if (own.length === 0) return null;
    const nested = (answers: readonly Known[]) =>
      factsInCategories(
        answers,
        (fact) => categories.get(fact)!,
        (kind) => Number(COARSE[kind][view]),
      );
    return shareDifference([nested(own)], [nested(other)], categories.size);
  };
  return { facts: categories.size, strict: of('strict'), broad: of('broad') };
});

export function differenceTable(rows: readonly MeasuredNode[], w: Say): ReportTable {
  return {
    id: 'differences',
    title: w('differences'),
    notes: [w('differencesNote')],
    columns: [
      words('checkpoint', w('checkpoint')),
      words('than', w('than')),
      words('under', w('under')),
      count('steps', w('steps')),
      count('facts', w('facts')),
      difference('strict', w('strict'), 'difference'),
      difference('broad', w('broad'), 'difference'),
      difference('benign', w('benign'), 'difference'),
    ],
    rows: pairsOf(rows).map((pair) => {
      const { own, other } = pair;
      const { facts, strict, broad } = harmOf(own.evaluation!, other.evaluation!);
      const harm = (figure: Figure | null): ReportValue =>
        figure ? figureOf(figure) : { missing: w('otherQuestions') };
      const [a, b] = [own.evaluation!.benign, other.evaluation!.benign];
      const tuned = own.line.slice(1).filter((n) => n.kind !== 'defence');
      return [
        nameOf(own),
        nameOf(other),
        tuned.length === 0 ? w('noAttack') : tuned.map((n) => tuningOf(n, ['steps'])).join(', '),
        own.node.kind === 'defence' ? null : own.node.steps,
        facts,
        harm(strict),
        harm(broad),
        a && b ? figureOf(differenceFigure(taskDifference(a, b))) : { missing: w('notMeasured') },
      ];
    }),
  };
}
