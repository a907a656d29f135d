/** Multiple choice of opened models on imported sets, each beside its chance. */
import type { ReportTable } from '../report/document.ts';
import type { Say } from '../report/words.ts';
import { SCORINGS, type Chosen } from '../worker/protocol.ts';
import { nameOf, type Placed } from './measured.ts';
import { count, nodeTable, share, wilsonOf, words } from './report-table.ts';

/** One result, of the checkpoint that gave it. */
export type ChosenRow = Pick<Placed, 'node' | 'from'> & { chosen: Chosen };

export function choiceTable(rows: readonly ChosenRow[], w: Say): ReportTable {
  const unsure = rows.filter(({ chosen: { right, chance } }) =>
    SCORINGS.some((rule) => {
      const [low, high] = right[rule].interval;
      return low <= chance && chance <= high;
    }),
  );
  const names = [...new Set(unsure.map((r) => `${nameOf(r)} (${r.chosen.dataset.name})`))].join(', ');
  return nodeTable(
    rows,
    w,
    {
      id: 'choices',
      title: w('choices'),
      notes: [w('choicesNote'), ...(names ? [w('chanceFrom', { names })] : [])],
      picture: {
        kind: 'intervals',
        label: ['checkpoint', 'from', 'set', 'shots'],
        values: [...SCORINGS],
        chance: 'chance',
        called: w('chanceShort'),
        title: w('choices'),
      },
    },
    [
      { column: words('set', w('set')), of: (r) => r.chosen.dataset.name },
      { column: count('asked', w('asked')), of: (r) => r.chosen.n },
      { column: count('left', w('left')), of: (r) => r.chosen.left },
      { column: count('shots', w('shots')), of: (r) => r.chosen.shots.asked },
      ...SCORINGS.map((rule) => ({
        column: share(rule, w(`rule-${rule}`), 'choice'),
        of: ({ chosen }: ChosenRow) => wilsonOf(chosen.right[rule].correct, chosen.n),
      })),
      { column: share('chance', w('chanceShort'), 'choice'), of: (r) => r.chosen.chance },
    ],
  );
}
