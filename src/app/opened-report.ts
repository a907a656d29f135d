/** Opened models in the report: tables of their own, since rules judge them and nobody knows the right answers. */
import { spread } from '../core/spread.ts';
import { ENOUGH_LABELS, RULE_VERDICTS } from '../core/verdicts.ts';
import type { Report, ReportTable, ReportValue } from '../report/document.ts';
import type { Say } from '../report/words.ts';
import { WORK, type Look } from '../worker/protocol.ts';
import { choiceTable } from './choice-table.ts';
import { nameOf, type OpenedNode } from './measured.ts';
import { count, missing, nodeTable, number, share, wilsonOf, words, type Column } from './report-table.ts';

type Kind = keyof Look['answers'];

/** Of a look that was made elsewhere nothing is known but its answers; older ones do not name their judge. */
const judgeOf = (w: Say, { judge }: Look): string => judge ?? w('unnamedRules');

/** A column of the look; a kind of prompts that did not come, or no look at all, says so. */
const looked =
  (w: Say, kind: Kind, of: (look: Look) => ReportValue) =>
  (row: OpenedNode): ReportValue => {
    const { look, file } = row;
    if (look && (look[kind].n > 0 || !look.partial)) return of(look);
    return missing(w, row, WORK.look(file?.id ?? '', null), w('notMeasured'));
  };

const counted = (w: Say, kind: Kind): Column<OpenedNode>[] => [
  { column: count(`${kind}-asked`, w('asked')), of: looked(w, kind, (look) => look[kind].n) },
  ...RULE_VERDICTS.map((verdict) => ({
    column: share(`${kind}-${verdict.replaceAll(' ', '-')}`, w(verdict), 'rules'),
    of: looked(w, kind, (look) => wilsonOf(look[kind].counts[verdict], look[kind].n)),
  })),
  {
    column: count(`${kind}-distinct`, w('distinct')),
    of: looked(w, kind, (look) => new Set(look.answers[kind].map((a) => a.answer)).size),
  },
];

/** The rate that the calibrated rules give, and as the person would have found it. */
function audited(w: Say): Column<OpenedNode>[] {
  const rate = ({ node, audit }: OpenedNode) => audit?.group.rates.find((r) => r.nodeId === node.id);
  const no = { missing: w('uncalibrated') };
  return [
    {
      column: words('calibrated', w('calibration'), 'corrected'),
      of: ({ audit }) => {
        if (!audit?.group.enough) return w('uncalibrated');
        const { n, kappa } = audit.group;
        return w('calibratedOn', { n, kappa: kappa === null ? '–' : kappa.toFixed(2), judge: audit.judge });
      },
    },
    {
      column: share('by-rules', w('byRules'), 'corrected'),
      of: (row) => {
        const own = rate(row);
        return row.audit?.group.enough && own ? wilsonOf(Math.round(own.rules * own.n), own.n) : no;
      },
    },
    {
      column: share('corrected', w('corrected'), 'corrected'),
      of: (row) => {
        const own = rate(row);
        if (!row.audit?.group.enough || !own) return no;
        if (own.corrected === null) return { missing: w('noBetter') };
        return own.interval
          ? { value: own.corrected, low: own.interval[0], high: own.interval[1] }
          : own.corrected;
      },
    },
  ];
}

export function openedTables(rows: readonly OpenedNode[], w: Say): ReportTable[] {
  if (rows.length === 0) return [];
  const lead: Column<OpenedNode>[] = [
    { column: words('file', w('file')), of: (r) => r.file?.name ?? { missing: w('noFile') } },
    {
      column: words('judge', w('judgedBy')),
      of: ({ look }) =>
        look
          ? [
              judgeOf(w, look),
              ...(look.elsewhere === null ? [] : [w('elsewhere', { base: look.elsewhere })]),
            ].join(', ')
          : null,
    },
  ];
  const chosen = rows.flatMap((row) =>
    row.chosen.map((one) => ({ node: row.node, from: row.from, chosen: one })),
  );
  const notes = [
    w('rulesNote'),
    ...(rows.some((r) => !r.audit?.group.enough) ? [w('uncalibratedNote', { n: ENOUGH_LABELS })] : []),
  ];
  return [
    nodeTable(rows, w, { id: 'opened-harmful', title: w('openedHarmful'), notes }, [
      ...lead,
      ...audited(w),
      ...counted(w, 'harmful'),
    ]),
    nodeTable(rows, w, { id: 'opened-benign', title: w('openedBenign'), notes: [w('rulesNote')] }, [
      ...lead,
      ...counted(w, 'benign'),
      {
        column: number('perplexity', w('perplexity'), 'perplexity'),
        of: looked(w, 'benign', ({ perplexity }) =>
          perplexity === undefined ? { missing: w('notMeasured') } : (perplexity?.value ?? null),
        ),
      },
      {
        column: count('references', w('references')),
        of: looked(w, 'benign', ({ perplexity }) => perplexity?.references ?? null),
      },
    ]),
    ...(chosen.length > 0 ? [choiceTable(chosen, w)] : []),
  ];
}

/** Whether it was asked all that the chosen file holds back. */
export const isLooked = ({ look, file }: OpenedNode): boolean =>
  look !== null && file !== null && !look.partial && look.harmful.n + look.benign.n >= file.asks;

const SAMPLES = 6;

/** Of each model the same few prompts of each kind. Its user has to ask for them: they may be anything. */
export function openedSamples(rows: readonly OpenedNode[], w: Say): Report['samples'] {
  return rows.flatMap((row) => {
    const { look } = row;
    if (!look) return [];
    return (['harmful', 'benign'] as const).flatMap((kind) =>
      spread(look.answers[kind], SAMPLES, 'report/samples').map((a) => ({
        of: `${nameOf(row)}, ${w(kind === 'harmful' ? 'harmful' : 'harmless')}`,
        prompt: a.prompt,
        answer: a.answer,
        verdict: a.verdict,
        reason: a.reason ?? '–',
        judge: judgeOf(w, look),
        veiled: true,
      })),
    );
  });
}

/** One line for each answer. */
export function* openedLines(rows: readonly OpenedNode[], w: Say): Generator<string> {
  for (const row of rows) {
    const { look, node } = row;
    if (!look) continue;
    for (const kind of ['harmful', 'benign'] as const)
      for (const { line, prompt, answer, verdict, reason } of look.answers[kind]) {
        const about = { id: `${look.prompts.id}/${kind}/${line ?? ''}`, checkpoint: nameOf(row) };
        const said = { prompt, answer, temperature: 0, verdict, reason, judge: judgeOf(w, look) };
        yield `${JSON.stringify({ ...about, weights: node.weightsDigest, steps: node.steps, ...said })}\n`;
      }
  }
}
