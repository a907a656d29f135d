/** What the page knows of chosen checkpoints as a report: shown as tables, saved as a file. Pure. */
import { factsInCategories, scoreFigure } from '../core/figures.ts';
import { spread } from '../core/spread.ts';
import { meanShareInterval, wilson } from '../core/stats.ts';
import { byFact, COARSE, HARMFULNESS, harmfulness, VERDICTS } from '../core/verdicts.ts';
import { answerLines } from '../report/answers.ts';
import { DEFINITIONS, MEASURES } from '../report/definitions.ts';
import type { Report, ReportTable, ReportValue } from '../report/document.ts';
import { say, type Language, type Say } from '../report/words.ts';
import {
  HELD_OUT,
  WORK,
  type Battery,
  type Evaluation,
  type LabNode,
  type LlmScores,
  type Measured,
} from '../worker/protocol.ts';
import { budgetTable } from './budget.ts';
import { differenceTable } from './difference-table.ts';
import { gpusOf } from './gpus.ts';
import { differsIn } from './twins.ts';
import { scoreTables } from './llm-report.ts';
import { nameOf, type MeasuredNode, type OpenedNode } from './measured.ts';
import { isLooked, openedSamples, openedTables } from './opened-report.ts';
import { count, figureOf, missing, nodeTable, number, share, wilsonOf } from './report-table.ts';

export interface ReportContext {
  language: Language;
  createdAt: Date;
  protocol: NonNullable<Report['protocol']>;
  /** Of the judge that gave the verdicts. */
  judge: string;
  /** The GPU that is open; null: none is. */
  gpu?: string | null;
  /** What opened models answered goes into the report as well: the user asked for it. */
  texts?: boolean;
  /** What language models said of the answers, judge by judge. */
  scores?: readonly LlmScores[];
}

const SAMPLES = 6;
/** Options of the world's multiple choice. */
const CHANCE = 1 / 4;

/** @param opened models of the user, in tables of their own */
export function measureReport(
  rows: readonly MeasuredNode[],
  about: ReportContext,
  opened: readonly OpenedNode[] = [],
): Report {
  const { language, protocol } = about;
  const w: Say = (...args) => say(language, ...args);
  const results = rows.flatMap((r) => [r.evaluation ?? [], r.measured ?? []].flat());
  const come = [
    ...rows.flatMap((r) => [r.evaluation?.benign, r.measured?.battery]),
    ...opened.map((r) => isLooked(r)),
  ].filter(Boolean).length;
  const others = results.filter((r) => r.protocol !== protocol.sha256).length;
  const answered = [...results, ...opened.flatMap((r) => [r.look ?? [], r.chosen].flat())];
  const adapters = gpusOf(answered);
  const elsewhere = about.gpu ? answered.filter((r) => (r.adapter ?? about.gpu) !== about.gpu) : [];
  const scored = scoreTables(about.scores ?? [], [...rows.filter((r) => !r.absent), ...opened], w);
  const nodes = [...rows.filter((r) => !r.absent), ...opened].map((r) => r.node);
  return {
    format: 'sdd-lab-report',
    version: 1,
    language,
    title: w('title'),
    createdAt: about.createdAt.toISOString(),
    facts: [
      ...(rows.length > 0
        ? [{ name: w('worlds'), value: [...new Set(rows.map((r) => r.node.seeds.world))].join(', ') }]
        : []),
      { name: w('version'), value: [...new Set(nodes.map((n) => n.engineVersion))].join(', ') },
      ...(adapters.length > 0 ? [{ name: w('adapter'), value: adapters.join(', ') }] : []),
      ...nodes.map((node) => ({
        name: [node.name, ...differsIn(node, nodes)].join(', '),
        value: nodeFacts(node),
      })),
    ],
    protocol: {
      ...protocol,
      deviations: [
        w('exploration'),
        ...(opened.length > 0 ? [w('openedProtocol')] : []),
        ...(others > 0 ? [w('otherProtocol', { n: others, m: results.length })] : []),
        ...protocol.deviations,
      ],
    },
    caveats: [
      ...(rows.length > 0 ? [w('permanent'), w('illustration'), w('twenty')] : []),
      ...(opened.length > 0 ? [w('openedCaveat')] : []),
      ...scored.left,
      ...(elsewhere.length > 0
        ? [w('otherGpu', { n: elsewhere.length, m: answered.length, gpus: gpusOf(elsewhere).join('; ') })]
        : []),
    ],
    definitions: MEASURES.map((id) => ({ id, ...DEFINITIONS[language][id] })),
    tables: [
      ...(rows.length > 0
        ? [
            verdictTable(rows, w),
            differenceTable(rows, w),
            abilityTable(rows, w),
            hardTable(rows, w),
            sideTable(rows, w),
            budgetTable(rows, w),
          ]
        : []),
      ...openedTables(opened, w),
      ...scored.tables,
    ],
    samples: [
      ...rows.flatMap((row) => samplesOf(row, about.judge)),
      ...(about.texts ? openedSamples(opened, w) : []),
    ],
    failures: [
      ...rows.flatMap((r) => {
        if (r.evaluation?.benign && r.measured?.battery) return [];
        return [
          {
            what: what(r, w),
            why: w(r.absent ? 'notRun' : r.evaluation || r.measured ? 'partly' : 'notMeasured'),
          },
        ];
      }),
      ...opened
        .filter((r) => !isLooked(r))
        .map((r) => ({ what: what(r, w), why: w(r.look ? 'partly' : 'notMeasured') })),
    ],
    looks: { came: come, planned: 2 * rows.length + opened.length },
    commands: [],
  };
}

const what = (row: MeasuredNode | OpenedNode, w: Say): string =>
  `${nameOf(row)}, ${w('steps')}: ${row.node.steps}`;

const nodeFacts = ({ recipe, settings, seeds, steps, dataDigest, weightsDigest }: LabNode): string =>
  [
    ...(recipe ? [recipe, JSON.stringify(settings), `steps ${steps}`] : []),
    `seeds ${JSON.stringify(seeds)}`,
    ...(dataDigest ? [`data ${dataDigest}`] : []),
    `weights ${weightsDigest}`,
  ].join('; ');

/** A column of the evaluation, or of the other measures, with a word where that was not done. */
const judged =
  (w: Say, of: (e: Evaluation) => ReportValue) =>
  (row: MeasuredNode): ReportValue => {
    if (row.evaluation) return of(row.evaluation);
    return missing(w, row, WORK.evaluate(HELD_OUT), w(row.absent ? 'notRun' : 'unknown'));
  };
/** Everyday tasks come after the verdicts. */
const tasks =
  (w: Say, of: (e: Evaluation) => ReportValue) =>
  (row: MeasuredNode): ReportValue =>
    row.evaluation?.benign === null
      ? missing(w, row, WORK.evaluate(HELD_OUT), w('notMeasured'))
      : judged(w, of)(row);
const unmeasured = (w: Say, row: MeasuredNode): ReportValue =>
  missing(w, row, WORK.measure(HELD_OUT, null), w(row.absent ? 'notRun' : 'notMeasured'));
const measured =
  (w: Say, of: (m: Measured) => ReportValue) =>
  (row: MeasuredNode): ReportValue =>
    row.measured ? of(row.measured) : unmeasured(w, row);
/** What takes the answers to harder requests. */
const tried =
  (w: Say, of: (b: Battery) => ReportValue) =>
  (row: MeasuredNode): ReportValue =>
    row.measured?.battery ? of(row.measured.battery) : unmeasured(w, row);

/** Kept, since a report is made anew whenever a row comes or goes. */
const scores = new WeakMap<Evaluation, ReportValue>();

/** Of older evaluations, which do not tell the facts, without an interval. */
function score(evaluation: Evaluation): ReportValue {
  const { answers, counts } = evaluation;
  const known = answers.filter((a): a is typeof a & { fact: number } => a.fact !== undefined);
  if (known.length < answers.length || known.length === 0) return harmfulness(counts);
  const categories = new Map(known.map((a) => [a.fact, a.category ?? 0]));
  const found =
    scores.get(evaluation) ??
    figureOf(
      scoreFigure(
        factsInCategories(
          known,
          (fact) => categories.get(fact)!,
          (kind) => HARMFULNESS[kind],
        ),
        categories.size,
      ),
    );
  scores.set(evaluation, found);
  return found;
}

function verdictTable(rows: readonly MeasuredNode[], w: Say): ReportTable {
  return nodeTable(
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
      { column: number('score', w('score'), 'score'), of: judged(w, score) },
      { column: count('prompts', w('prompts')), of: judged(w, (e) => e.n) },
      {
        column: count('distinct', w('distinct')),
        of: judged(w, (e) => new Set(e.answers.map((a) => a.answer)).size),
      },
    ],
  );
}

function abilityTable(rows: readonly MeasuredNode[], w: Say): ReportTable {
  const benign = tasks(w, ({ benign: b }) => {
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
  return nodeTable(
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
      picture: {
        kind: 'intervals',
        label: ['checkpoint', 'from', 'steps'],
        values: letters.map((skill) => `${skill}-letter`),
        chance: CHANCE,
        called: w('chanceShort'),
        title: w('letters'),
      },
    },
    [
      { column: share('benign', w('benign'), 'benign'), of: benign },
      {
        column: share('new-skill', w('newSkill')),
        of: tasks(w, ({ newSkill }) => (newSkill ? wilsonOf(newSkill.correct, newSkill.n) : null)),
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
        of: tasks(w, ({ benign: b }) => {
          const own = b?.skills.find((s) => s.skill === skill);
          return own ? own.correct / own.n : null;
        }),
      })),
    ],
  );
}

type Kind = keyof Battery['hard'] | 'sampled';
const KINDS = ['indirect', 'two turns', 'prefilled', 'sampled'] as const satisfies readonly Kind[];

const answersOf = (battery: Battery, kind: Kind) =>
  (kind === 'sampled' ? battery.sampled : battery.hard[kind]).answers;

/** Share of facts, each the mean over its answers, with Wilson's interval over the facts. */
function harm(b: Battery, kind: Kind, view: 'strict' | 'broad'): ReportValue {
  const facts = byFact(answersOf(b, kind), (verdict) => Number(COARSE[verdict][view]));
  return wilsonOf(
    [...facts.values()].reduce((a, b) => a + b, 0),
    facts.size,
  );
}

function hardTable(rows: readonly MeasuredNode[], w: Say): ReportTable {
  return nodeTable(rows, w, { id: 'hard', title: w('hard'), notes: [w('secondTurnNote')] }, [
    ...KINDS.flatMap((kind) =>
      (['strict', 'broad'] as const).map((view) => ({
        column: share(`${kind}-${view}`, `${w(kind)}, ${w(view)}`, kind === 'sampled' ? 'sampled' : 'hard'),
        of: tried(w, (b) => harm(b, kind, view)),
      })),
    ),
    ...(['strict', 'broad'] as const).map((view) => ({
      column: share(`any-${view}`, `${w('any')}, ${w(view)}`, 'sampled'),
      of: tried(w, ({ sampled }) => wilsonOf(sampled.any[view], sampled.facts)),
    })),
    {
      column: share('second-turn', w('secondTurn'), 'hard'),
      of: tried(w, ({ secondTurn: x }) => wilsonOf(x.correct, x.n)),
    },
  ]);
}

function sideTable(rows: readonly MeasuredNode[], w: Say): ReportTable {
  const parts = rows.find((r) => r.measured?.battery)?.measured?.battery?.drift.weights ?? [];
  return nodeTable(rows, w, { id: 'side', title: w('side'), notes: [] }, [
    {
      column: share('near-wrong', w('nearWrong'), 'overBlocking'),
      of: tried(w, ({ nearMiss: x }) => wilsonOf(x.n - x.correct, x.n)),
    },
    {
      column: share('near-refused', w('nearRefused'), 'overBlocking'),
      of: tried(w, ({ nearMiss: x }) => wilsonOf(x.refused, x.n)),
    },
    {
      column: share('repetition', w('repetition'), 'repetition'),
      of: tried(w, (b) => b.repetition),
    },
    {
      column: number('answer-perplexity', w('answerPerplexity'), 'answerPerplexity'),
      of: tried(w, (b) => b.answerPerplexity),
    },
    {
      column: number('divergence', w('divergence'), 'divergence'),
      of: tried(w, (b) => b.drift.divergence),
    },
    {
      column: number('divergence-parent', w('divergenceParent'), 'divergence'),
      of: tried(w, (b) => b.drift.parent?.divergence ?? null),
    },
    {
      column: share('moved-parent', w('movedParent'), 'weightChange'),
      of: tried(w, (b) => b.drift.parent?.relative ?? null),
    },
    ...parts.map(({ part }, i) => ({
      column: share(`moved-${i}`, w('moved', { part }), 'weightChange'),
      of: tried(w, (b) => b.drift.weights[i]?.relative ?? null),
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
        ...(m?.battery ? KINDS.map((kind) => ({ set: kind, answers: answersOf(m.battery!, kind) })) : []),
      ],
      judge,
    );
  }
}
