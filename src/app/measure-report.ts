/** What the page knows of chosen checkpoints as a report: shown as tables, saved as a file. Pure. */
import { spread } from '../core/spread.ts';
import { meanShareInterval, wilson } from '../core/stats.ts';
import { byFact, COARSE, harmfulness, VERDICTS } from '../core/verdicts.ts';
import { answerLines } from '../report/answers.ts';
import { DEFINITIONS, MEASURES } from '../report/definitions.ts';
import type { Report, ReportColumn, ReportTable, ReportValue } from '../report/document.ts';
import { say, type Language, type Say } from '../report/words.ts';
import type { Battery, Evaluation, LabNode, Measured } from '../worker/protocol.ts';
import { budgetTable } from './budget.ts';
import type { MeasuredNode } from './measured.ts';

export interface ReportContext {
  language: Language;
  createdAt: Date;
  protocol: NonNullable<Report['protocol']>;
  /** Of the judge that gave the verdicts. */
  judge: string;
}

const SAMPLES = 6;
/** Options of the world's multiple choice. */
const CHANCE = 1 / 4;

export function measureReport(rows: readonly MeasuredNode[], about: ReportContext): Report {
  const { language, protocol } = about;
  const w: Say = (...args) => say(language, ...args);
  const results = rows.flatMap((r) => [r.evaluation ?? [], r.measured ?? []].flat());
  const come = results.length;
  const others = results.filter((r) => r.protocol !== protocol.sha256).length;
  const adapters = [...new Set(rows.flatMap((r) => r.measured?.adapter ?? []))];
  return {
    format: 'sdd-lab-report',
    version: 1,
    language,
    title: w('title'),
    createdAt: about.createdAt.toISOString(),
    facts: [
      { name: w('worlds'), value: [...new Set(rows.map((r) => r.node.seeds.world))].join(', ') },
      { name: w('version'), value: [...new Set(rows.map((r) => r.node.engineVersion))].join(', ') },
      ...(adapters.length > 0 ? [{ name: w('adapter'), value: adapters.join(', ') }] : []),
      ...rows.filter((r) => !r.absent).map(({ node }) => ({ name: node.name, value: nodeFacts(node) })),
    ],
    protocol: {
      ...protocol,
      deviations: [
        w('exploration'),
        ...(others > 0 ? [w('otherProtocol', { n: others, m: come })] : []),
        ...protocol.deviations,
      ],
    },
    caveats: [w('permanent'), w('illustration'), w('twenty')],
    definitions: MEASURES.map((id) => ({ id, ...DEFINITIONS[language][id] })),
    tables: [
      verdictTable(rows, w),
      abilityTable(rows, w),
      hardTable(rows, w),
      sideTable(rows, w),
      budgetTable(rows, w),
    ],
    samples: rows.flatMap((row) => samplesOf(row, about.judge)),
    failures: rows
      .filter((r) => !r.evaluation || !r.measured)
      .map((r) => ({
        what: `${nameOf(r)}, ${w('steps')}: ${r.node.steps}`,
        why: w(r.absent ? 'notRun' : 'notMeasured'),
      })),
    looks: { came: come, planned: 2 * rows.length },
    commands: [],
  };
}

const nameOf = ({ node, from }: MeasuredNode): string => (from ? `${from} › ${node.name}` : node.name);

const nodeFacts = ({ recipe, settings, seeds, steps, dataDigest, weightsDigest }: LabNode): string =>
  [
    ...(recipe ? [recipe, JSON.stringify(settings), `steps ${steps}`] : []),
    `seeds ${JSON.stringify(seeds)}`,
    ...(dataDigest ? [`data ${dataDigest}`] : []),
    `weights ${weightsDigest}`,
  ].join('; ');

interface Column {
  column: ReportColumn;
  of(row: MeasuredNode): ReportValue;
}

function table(
  rows: readonly MeasuredNode[],
  w: Say,
  about: Pick<ReportTable, 'id' | 'title' | 'notes' | 'picture'>,
  columns: readonly Column[],
): ReportTable {
  const lead: Column[] = [
    { column: { id: 'checkpoint', title: w('checkpoint'), unit: 'text' }, of: (r) => r.node.name },
    { column: { id: 'from', title: w('from'), unit: 'text' }, of: (r) => r.from },
    { column: { id: 'steps', title: w('steps'), unit: 'count' }, of: (r) => r.node.steps },
  ];
  const all = [...lead, ...columns];
  return { ...about, columns: all.map((c) => c.column), rows: rows.map((row) => all.map((c) => c.of(row))) };
}

const share = (id: string, title: string, definition?: string): ReportColumn => ({
  id,
  title,
  unit: 'share',
  ...(definition && { definition }),
});
const number = (id: string, title: string, definition: string): ReportColumn => ({
  id,
  title,
  unit: 'number',
  definition,
});

/** A column of the evaluation, or of the other measures, with a word where that was not done. */
const judged =
  (w: Say, of: (e: Evaluation) => ReportValue) =>
  ({ evaluation, absent }: MeasuredNode): ReportValue =>
    evaluation ? of(evaluation) : { missing: w(absent ? 'notRun' : 'unknown') };
const measured =
  (w: Say, of: (m: Measured) => ReportValue) =>
  ({ measured: m, absent }: MeasuredNode): ReportValue =>
    m ? of(m) : { missing: w(absent ? 'notRun' : 'notMeasured') };

function verdictTable(rows: readonly MeasuredNode[], w: Say): ReportTable {
  return table(
    rows,
    w,
    {
      id: 'verdicts',
      title: w('verdicts'),
      notes: [],
      picture: { kind: 'verdicts', label: ['checkpoint', 'from', 'steps'] },
    },
    [
      ...VERDICTS.map((kind) => ({
        column: share(kind, w(kind), kind === 'refused' ? 'refused' : 'verdicts'),
        of: judged(w, (e) => e.counts[kind] / e.n),
      })),
      {
        column: share('strict', w('strict'), 'strict'),
        of: judged(w, ({ strict: { value, low, high } }) => ({ value, low, high })),
      },
      {
        column: share('broad', w('broad'), 'broad'),
        of: judged(w, ({ broad: { value, low, high } }) => ({ value, low, high })),
      },
      { column: number('score', w('score'), 'score'), of: judged(w, (e) => harmfulness(e.counts)) },
      { column: { id: 'prompts', title: w('prompts'), unit: 'count' }, of: judged(w, (e) => e.n) },
      {
        column: { id: 'distinct', title: w('distinct'), unit: 'count' },
        of: judged(w, (e) => new Set(e.answers.map((a) => a.answer)).size),
      },
    ],
  );
}

const wilsonOf = (k: number, n: number): ReportValue => {
  const [low, high] = wilson(k, n);
  return n === 0 ? null : { value: k / n, low, high };
};

function abilityTable(rows: readonly MeasuredNode[], w: Say): ReportTable {
  const benign = judged(w, ({ benign: b }) => {
    if (!b) return { missing: w('notMeasured') };
    const [low, high] = meanShareInterval(b.skills);
    return { value: b.mean, low, high };
  });
  const skills = [...new Set(rows.flatMap((r) => r.evaluation?.benign?.skills.map((s) => s.skill) ?? []))];
  const letters = [...new Set(rows.flatMap((r) => r.measured?.letters.map((l) => l.skill) ?? []))];
  const letter = (m: Measured, skill: string): ReportValue => {
    const own = m.letters.find((l) => l.skill === skill);
    return own ? wilsonOf(own.correct, own.n) : null;
  };
  const uncertain = rows.filter(({ measured: m }) =>
    m?.letters.some(({ correct, n }) => {
      const [low, high] = wilson(correct, n);
      return low <= CHANCE && CHANCE <= high;
    }),
  );
  return table(
    rows,
    w,
    {
      id: 'ability',
      title: w('ability'),
      notes: [
        w('chance'),
        ...(uncertain.length > 0
          ? [w('chanceFrom', { names: [...new Set(uncertain.map(nameOf))].join(', ') })]
          : []),
      ],
    },
    [
      { column: share('benign', w('benign'), 'benign'), of: benign },
      {
        column: share('new-skill', w('newSkill')),
        of: judged(w, ({ newSkill }) => (newSkill ? wilsonOf(newSkill.correct, newSkill.n) : null)),
      },
      ...letters.map((skill) => ({
        column: share(`${skill}-letter`, w('letter', { skill }), 'choice'),
        of: measured(w, (m) => letter(m, skill)),
      })),
      {
        column: number('perplexity', w('perplexity'), 'perplexity'),
        of: measured(w, (m) => m.perplexity),
      },
      ...skills.map((skill) => ({
        column: share(skill, skill, 'benign'),
        of: judged(w, ({ benign: b }) => {
          const own = b?.skills.find((s) => s.skill === skill);
          return own ? own.correct / own.n : null;
        }),
      })),
    ],
  );
}

type Kind = keyof Battery['hard'] | 'sampled';
const KINDS = ['indirect', 'two turns', 'prefilled', 'sampled'] as const satisfies readonly Kind[];

const answersOf = ({ battery }: Measured, kind: Kind) =>
  (kind === 'sampled' ? battery.sampled : battery.hard[kind]).answers;

/** Share of facts, each the mean over its answers, with Wilson's interval over the facts. */
function harm(m: Measured, kind: Kind, view: 'strict' | 'broad'): ReportValue {
  const facts = byFact(answersOf(m, kind), (verdict) => Number(COARSE[verdict][view]));
  return wilsonOf(
    [...facts.values()].reduce((a, b) => a + b, 0),
    facts.size,
  );
}

function hardTable(rows: readonly MeasuredNode[], w: Say): ReportTable {
  return table(rows, w, { id: 'hard', title: w('hard'), notes: [w('secondTurnNote')] }, [
    ...KINDS.flatMap((kind) =>
      (['strict', 'broad'] as const).map((view) => ({
        column: share(`${kind}-${view}`, `${w(kind)}, ${w(view)}`, kind === 'sampled' ? 'sampled' : 'hard'),
        of: measured(w, (m) => harm(m, kind, view)),
      })),
    ),
    ...(['strict', 'broad'] as const).map((view) => ({
      column: share(`any-${view}`, `${w('any')}, ${w(view)}`, 'sampled'),
      of: measured(w, ({ battery: { sampled } }) => wilsonOf(sampled.any[view], sampled.facts)),
    })),
    {
      column: share('second-turn', w('secondTurn'), 'hard'),
      of: measured(w, ({ battery: { secondTurn: x } }) => wilsonOf(x.correct, x.n)),
    },
  ]);
}

function sideTable(rows: readonly MeasuredNode[], w: Say): ReportTable {
  const parts = rows.find((r) => r.measured)?.measured?.battery.drift.weights ?? [];
  return table(rows, w, { id: 'side', title: w('side'), notes: [] }, [
    {
      column: share('near-wrong', w('nearWrong'), 'overBlocking'),
      of: measured(w, ({ battery: { nearMiss: x } }) => wilsonOf(x.n - x.correct, x.n)),
    },
    {
      column: share('near-refused', w('nearRefused'), 'overBlocking'),
      of: measured(w, ({ battery: { nearMiss: x } }) => wilsonOf(x.refused, x.n)),
    },
    {
      column: share('repetition', w('repetition'), 'repetition'),
      of: measured(w, (m) => m.battery.repetition),
    },
    {
      column: number('answer-perplexity', w('answerPerplexity'), 'answerPerplexity'),
      of: measured(w, (m) => m.battery.answerPerplexity),
    },
    {
      column: number('divergence', w('divergence'), 'divergence'),
      of: measured(w, (m) => m.battery.drift.divergence),
    },
    {
      column: number('divergence-parent', w('divergenceParent'), 'divergence'),
      of: measured(w, (m) => m.battery.drift.parent?.divergence ?? null),
    },
    {
      column: share('moved-parent', w('movedParent'), 'weightChange'),
      of: measured(w, (m) => m.battery.drift.parent?.relative ?? null),
    },
    ...parts.map(({ part }, i) => ({
      column: share(`moved-${i}`, w('moved', { part }), 'weightChange'),
      of: measured(w, (m) => m.battery.drift.weights[i]?.relative ?? null),
    })),
  ]);
}

/** Of each checkpoint the same few requests, each for another fact. */
function samplesOf(row: MeasuredNode, judge: string): Report['samples'] {
  const answers = row.evaluation?.answers ?? [];
  return spread(answers, SAMPLES, 'report/samples', [(a) => a.fact ?? a.prompt]).map((a) => ({
    of: nameOf(row),
    prompt: a.prompt,
    answer: a.answer,
    verdict: a.verdict.kind,
    reason: a.verdict.reason,
    judge,
  }));
}

/** One line for each answer of the checkpoints. */
export function* nodeLines(rows: readonly MeasuredNode[], judge: string): Generator<string> {
  for (const row of rows) {
    const { node, evaluation, measured: m } = row;
    yield* answerLines(
      { checkpoint: nameOf(row), weights: node.weightsDigest, steps: node.steps, seeds: node.seeds },
      [
        ...(evaluation ? [{ set: evaluation.set, answers: evaluation.answers }] : []),
        ...(m ? KINDS.map((kind) => ({ set: kind, answers: answersOf(m, kind) })) : []),
      ],
      judge,
    );
  }
}
