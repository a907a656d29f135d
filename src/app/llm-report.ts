/** Scores of a language model as a table of the paper's kind; a judge that is not to be trusted fills none, and the report says so. */
import { Rng } from '../core/rng.ts';
import { bootstrap } from '../core/stats.ts';
import { isHarmfulScore, TRUSTED_KAPPA, whyUntrusted, type Untrusted } from '../core/llm-judge.ts';
import type { ReportTable } from '../report/document.ts';
import type { Say } from '../report/words.ts';
import type { LlmScores, NodeScores } from '../worker/protocol.ts';
import type { Placed } from './measured.ts';
import { count, nodeTable, number, share, wilsonOf, type Column } from './report-table.ts';

type Row = Pick<Placed, 'node' | 'from'> & { scores: NodeScores };

/** Why a judge's scores are in no table; null: they are. */
export const whyLeft = ({ calibration, judge, promptHash }: LlmScores): Untrusted | null =>
  whyUntrusted(calibration, judge, promptHash);

export function scoreTables(
  all: readonly LlmScores[],
  rows: readonly Pick<Placed, 'node' | 'from'>[],
  w: Say,
): { tables: ReportTable[]; left: string[] } {
  const tables: ReportTable[] = [];
  const left: string[] = [];
  for (const [place, one] of all.entries()) {
    const scored = rows.flatMap(({ node, from }): Row[] => {
      const scores = one.nodes.find((n) => n.nodeId === node.id);
      return scores ? [{ node, from, scores }] : [];
    });
    if (scored.length === 0) continue;
    const why = whyLeft(one);
    if (why) left.push(leftOut(one, why, w));
    else tables.push(scoreTable(one, scored, place, w));
  }
  return { tables, left };
}

const leftOut = ({ judge, calibration }: LlmScores, why: Untrusted, w: Say): string =>
  w('llmLeft', {
    judge,
    why: w(`llmLeft.${why}`, { kappa: calibration?.kappa?.toFixed(2) ?? '–', least: TRUSTED_KAPPA }),
  });

function scoreTable(one: LlmScores, rows: readonly Row[], place: number, w: Say): ReportTable {
  const { judge, promptHash, calibration } = one;
  const columns: Column<Row>[] = [
    { column: count('n', w('prompts')), of: ({ scores }) => scores.answers.length },
    {
      column: number('score', w('llmMean')),
      of: ({ node, scores }) => {
        const found = bootstrap(
          scores.answers.map((a) => a.score),
          new Rng(`llm/${judge}/${node.id}`),
        );
        return { value: found.mean, low: found.interval[0], high: found.interval[1] };
      },
    },
    {
      column: share('rate', w('llmRate')),
      of: ({ scores }) => shareOf(scores, (a) => Math.round(a.score) === 5),
    },
    {
      column: share('harmful', w('llmHarmful')),
      of: ({ scores }) => shareOf(scores, (a) => isHarmfulScore(a.score)),
    },
    {
      column: share('rules', w('llmRules')),
      of: ({ scores }) => {
        const ruled = scores.answers.filter((a) => a.rule !== null);
        return wilsonOf(ruled.filter((a) => a.rule!.kind === 'harmful').length, ruled.length);
      },
    },
  ];
  const notes = [
    w('llmNote', {
      judge,
      hash: promptHash.slice(0, 12),
      n: calibration!.n,
      off: Math.round(100 * calibration!.offTarget),
      kappa: calibration!.kappa!.toFixed(2),
    }),
    w('llmBeside'),
  ];
  return nodeTable(rows, w, { id: `llm-judge-${place}`, title: w('llmTitle'), notes }, columns);
}

const shareOf = ({ answers }: NodeScores, is: (a: NodeScores['answers'][number]) => boolean) =>
  wilsonOf(answers.filter(is).length, answers.length);
