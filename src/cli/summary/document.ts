/** An experiment as a report: the same rows as the tables in the terminal, with everything that stands behind them. */
import { EXACT_JUDGE, VERDICTS } from '../../core/verdicts.ts';
import { HARD_SETS } from '../../data/hard-sets.ts';
import { spread } from '../../core/spread.ts';
import { DEFINITIONS, MEASURES } from '../../report/definitions.ts';
import type { Report, ReportColumn, ReportTable, ReportValue } from '../../report/document.ts';
import { say } from '../../report/words.ts';
import { SKILLS } from '../../world/words.ts';
import type { Cell } from '../experiment/cells.ts';
import { GRID, type RunSeeds } from '../experiment/matrix.ts';
import { seedCommand } from './answers.ts';
import { budgetLines, type Budget } from './budget.ts';
import type { Difference } from './differences.ts';
import type { Figure } from '../../eval/intervals.ts';
import type { Figures, Row } from './figures.ts';

/** Answers shown of one look. */
const SAMPLES = 6;

export interface Facts {
  /** Headline: what was asked. */
  kind: 'matrix' | 'grid';
  createdAt: Date;
  facts: Report['facts'];
  protocol: NonNullable<Report['protocol']>;
  /** Beside those that the protocol's file lists. */
  deviations: readonly string[];
  caveats: readonly string[];
  /** That leads to all of it. */
  command: string;
  /** What measured it: one for each result that was joined. */
  parts: readonly { worldSeed: number; command: string; seeds: readonly RunSeeds[] }[];
  failures: Report['failures'];
}

export function experimentReport(
  about: Facts,
  cells: readonly Cell[],
  rows: readonly Row[],
  o: {
    differences?: readonly Difference[];
    fair?: readonly ReportTable[];
    budgets?: Record<'strict' | 'broad', readonly Budget[]>;
  },
): Report {
  const earlier = cells.filter((c) => c.protocol !== about.protocol.sha256);
  const deviations = [
    ...about.deviations,
    ...(earlier.length > 0
      ? [
          `${earlier.length} of ${cells.length} looks were taken under another text of the protocol (${[...new Set(earlier.map((c) => c.protocol.slice(0, 12)))].join(', ')}); "--fresh" measures them again.`,
        ]
      : []),
    ...about.protocol.deviations,
  ];
  return {
    format: 'sdd-lab-report',
    version: 1,
    language: 'en',
    title:
      about.kind === 'grid'
        ? 'Budget to break the defence'
        : 'What attacks leave of each defence: the matrix',
    createdAt: about.createdAt.toISOString(),
    facts: about.facts,
    protocol: { ...about.protocol, deviations },
    caveats: [say('en', 'permanent'), ...about.caveats],
    definitions: MEASURES.map((id) => ({ id, ...DEFINITIONS.en[id] })),
    tables:
      about.kind === 'grid'
        ? gridTables(rows, o.budgets!)
        : [...(o.fair ?? []), ...matrixTables(rows, o.differences ?? [])],
    samples: about.kind === 'grid' ? [] : samples(cells),
    failures: about.failures,
    looks: {
      came: rows.reduce((sum, r) => sum + r.runs, 0),
      planned: rows.reduce((sum, r) => sum + r.expected, 0),
    },
    commands: [
      { what: 'all of it', command: about.command },
      ...about.parts.flatMap((part) =>
        part.seeds.map(({ defence, attack }) => ({
          what: `world ${part.worldSeed}, seeds ${defence} and ${attack}`,
          command: seedCommand(part.command, defence, attack),
        })),
      ),
    ],
  };
}

const figure = ({ value, interval: [low, high] }: Figure): ReportValue => ({ value, low, high });
const FAILED = { missing: 'failed' };

const LEAD: ReportColumn[] = [
  { id: 'model', title: 'model', unit: 'text' },
  { id: 'attack', title: 'attack', unit: 'text' },
  { id: 'steps', title: 'steps', unit: 'count' },
  { id: 'runs', title: 'runs', unit: 'text' },
];
const lead = (r: Row): ReportValue[] => [r.model, r.attack, r.steps, `${r.runs}/${r.expected}`];

/** A table with a row for each look, and these columns of its figures. */
function table(
  rows: readonly Row[],
  about: Pick<ReportTable, 'id' | 'title' | 'notes' | 'picture'>,
  columns: readonly { column: ReportColumn; of(f: Figures): ReportValue }[],
): ReportTable {
  return {
    ...about,
    columns: [...LEAD, ...columns.map((c) => c.column)],
    rows: rows.map((r) => [
      ...lead(r),
      // Of a look that not every run came to: the figures of those that did; `runs` says so.
      ...columns.map(({ of }) => (r.figures ? of(r.figures) : FAILED)),
    ]),
  };
}

const share = (id: string, title: string, definition?: string): ReportColumn => ({
  id,
  title,
  unit: 'share',
  ...(definition && { definition }),
});

function matrixTables(rows: readonly Row[], differences: readonly Difference[]): ReportTable[] {
  const before = rows.filter((r) => r.attack === 'none');
  const after = rows.filter((r) => r.attack !== 'none');
  const verdictColumns = [
    ...VERDICTS.map((kind) => ({
      column: share(kind, say('en', kind), 'verdicts'),
      of: (f: Figures) => f.verdicts[kind],
    })),
    { column: share('strict', 'strict harm', 'strict'), of: (f: Figures) => figure(f.strict) },
    { column: share('broad', 'broad harm', 'broad'), of: (f: Figures) => figure(f.broad) },
    {
      column: { id: 'score', title: 'score', unit: 'number', definition: 'score' } as const,
      of: (f: Figures) => figure(f.score),
    },
    { column: { id: 'facts', title: 'facts', unit: 'count' } as const, of: (f: Figures) => f.facts },
    { column: { id: 'prompts', title: 'prompts', unit: 'count' } as const, of: (f: Figures) => f.prompts },
    {
      column: { id: 'distinct', title: 'different answers', unit: 'count' } as const,
      of: (f: Figures) => f.distinct,
    },
  ];
  const abilityColumns = [
    { column: share('benign', 'everyday tasks', 'benign'), of: (f: Figures) => figure(f.benign) },
    { column: share('new', 'new skill'), of: (f: Figures) => f.newSkill },
    ...SKILLS.map((skill) => ({
      column: share(skill, skill, 'benign'),
      of: (f: Figures) => f.skills[skill] ?? null,
    })),
    ...(['mcq', 'obqa'] as const).map((skill) => ({
      column: share(`${skill}-letter`, `${skill}, likeliest letter`, 'choice'),
      of: (f: Figures) => (f.letters[skill] ? figure(f.letters[skill]) : null),
    })),
    {
      column: { id: 'perplexity', title: 'perplexity', unit: 'number', definition: 'perplexity' } as const,
      of: (f: Figures) => f.perplexity,
    },
  ];
  const hardColumns = [
    {
      column: { id: 'facts', title: 'facts', unit: 'count' } as const,
      of: (f: Figures) => f.battery?.facts ?? null,
    },
    ...[...HARD_SETS, 'sampled' as const].flatMap((set) =>
      (['strict', 'broad'] as const).map((view) => ({
        column: share(`${set}-${view}`, `${set}, ${view}`, set === 'sampled' ? 'sampled' : 'hard'),
        of: (f: Figures) => (f.battery ? figure(f.battery.hard[set][view]) : null),
      })),
    ),
    ...(['strict', 'broad'] as const).map((view) => ({
      column: share(`any-${view}`, `any of 5, ${view}`, 'sampled'),
      of: (f: Figures) => (f.battery ? figure(f.battery.any[view]) : null),
    })),
    {
      column: share('second-turn', say('en', 'secondTurn'), 'hard'),
      of: (f: Figures) => (f.battery ? figure(f.battery.secondTurn) : null),
    },
  ];
  const sideColumns = [
    {
      column: { id: 'near', title: 'near misses', unit: 'count' } as const,
      of: (f: Figures) => f.battery?.overBlocking.n ?? null,
    },
    {
      column: share('near-wrong', 'near misses wrong', 'overBlocking'),
      of: (f: Figures) => (f.battery ? figure(f.battery.overBlocking.wrong) : null),
    },
    {
      column: share('near-refused', 'near misses refused', 'overBlocking'),
      of: (f: Figures) => (f.battery ? figure(f.battery.overBlocking.refused) : null),
    },
    {
      column: share('repetition', 'repetition', 'repetition'),
      of: (f: Figures) => f.battery?.repetition ?? null,
    },
    {
      column: {
        id: 'answers-perplexity',
        title: "answers' perplexity",
        unit: 'number',
        definition: 'answerPerplexity',
      } as const,
      of: (f: Figures) => f.battery?.answerPerplexity ?? null,
    },
    {
      column: { id: 'kl', title: 'KL, nats', unit: 'number', definition: 'divergence' } as const,
      of: (f: Figures) => f.battery?.divergence ?? null,
    },
    {
      column: {
        id: 'kl-parent',
        title: say('en', 'divergenceParent'),
        unit: 'number',
        definition: 'divergence',
      } as const,
      of: (f: Figures) => f.battery?.parent?.divergence ?? null,
    },
    {
      column: share('moved-parent', say('en', 'movedParent'), 'weightChange'),
      of: (f: Figures) => f.battery?.parent?.relative ?? null,
    },
    ...(rows.find((r) => r.figures?.battery)?.figures!.battery!.weights ?? []).map(({ part }, i) => ({
      column: share(`moved-${i}`, `moved: ${part}`, 'weightChange'),
      of: (f: Figures) => f.battery?.weights[i]?.relative ?? null,
    })),
  ];
  const attacks = [...new Set(after.map((r) => r.attack))];
  return [
    table(
      before,
      {
        id: 'before',
        title: 'Before any attack: what the defence itself costs',
        notes: ['Everyday tasks and near misses here are the price of a defence before anybody attacked.'],
        picture: { kind: 'verdicts', label: ['model'] },
      },
      [...verdictColumns, abilityColumns[0]!, ...sideColumns.slice(0, 3)],
    ),
    ...attacks.map((attack) =>
      table(
        after.filter((r) => r.attack === attack),
        {
          id: `verdicts-${attack}`,
          title: `After ${attack}: what is answered to forbidden requests`,
          notes: [],
          picture: { kind: 'verdicts', label: ['model', 'steps'] },
        },
        [...verdictColumns, abilityColumns[0]!],
      ),
    ),
    table(
      rows,
      {
        id: 'ability',
        title: 'Ability, skill by skill',
        notes: [say('en', 'chance'), ...chanceNote(rows)],
      },
      abilityColumns,
    ),
    table(
      rows,
      {
        id: 'hard',
        title: 'Harder requests and sampled answers',
        notes: [say('en', 'secondTurnNote')],
      },
      hardColumns,
    ),
    table(rows, { id: 'side', title: 'Over-blocking, repetition and drift', notes: [] }, sideColumns),
    differenceTable(differences),
  ];
}

/** Rows whose letter-scored multiple choice cannot be told from guessing. */
function chanceNote(rows: readonly Row[]): string[] {
  const unsure = rows.filter(({ figures }) =>
    Object.values(figures?.letters ?? {}).some(({ interval: [low, high] }) => low <= 1 / 4 && 1 / 4 <= high),
  );
  const names = unsure.map((r) => `${r.model} · ${r.attack} · ${r.steps}`);
  return names.length === 0 ? [] : [say('en', 'chanceFrom', { names: names.join(', ') })];
}

function differenceTable(all: readonly Difference[]): ReportTable {
  const change = (id: 'strict' | 'broad' | 'benign', title: string): ReportColumn => ({
    id,
    title,
    unit: 'difference',
    definition: 'difference',
  });
  return {
    id: 'differences',
    title: 'Defended minus undefended, paired by seed',
    notes: [],
    columns: [
      LEAD[0]!,
      { id: 'than', title: 'than', unit: 'text' },
      LEAD[1]!,
      LEAD[2]!,
      { id: 'pairs', title: 'pairs', unit: 'text' },
      change('strict', 'strict harm'),
      change('broad', 'broad harm'),
      change('benign', 'everyday tasks'),
    ],
    rows: all.map((d) => [
      d.model,
      d.than,
      d.attack,
      d.steps,
      `${d.pairs}/${d.expected}`,
      ...(['strict', 'broad', 'benign'] as const).map((id) => (d.figures ? figure(d.figures[id]) : FAILED)),
    ]),
  };
}

function gridTables(
  rows: readonly Row[],
  budgets: Record<'strict' | 'broad', readonly Budget[]>,
): ReportTable[] {
  const curves = (['strict', 'broad', 'benign'] as const).map((what) =>
    table(
      rows,
      {
        id: `curves-${what}`,
        title: {
          strict: 'Strict harm after steps of attack',
          broad: 'Broad harm after steps of attack',
          benign: 'Everyday tasks right after steps of attack',
        }[what],
        notes: [],
        picture: {
          kind: 'curves',
          x: 'steps',
          y: what,
          line: ['model', 'attack'],
          title: `${what}, per cent`,
        },
      },
      [{ column: share(what, what, what), of: (f) => figure(f[what]) }],
    ),
  );
  const budgetTables = (['strict', 'broad'] as const).map((measure): ReportTable => {
    const { lines, worst } = budgetLines(budgets[measure]);
    const [vanilla, defended] = GRID.models;
    const text = (id: string, title: string): ReportColumn => ({
      id,
      title,
      unit: 'text',
      definition: 'budget',
    });
    return {
      id: `budget-${measure}`,
      title: `Fewest steps to ${100 * GRID.threshold} % ${measure} harm`,
      notes: [worst],
      columns: [
        { id: 'lr', title: 'learning rate', unit: 'number' },
        text('vanilla', vanilla),
        text('defended', defended),
        text('ratio', 'ratio'),
      ],
      rows: lines.map((l) => [l.lr, l.vanilla, l.defended, l.ratio]),
    };
  });
  return [...budgetTables, ...curves];
}

/** Of each look the same few requests. */
function samples(cells: readonly Cell[]): Report['samples'] {
  const seen = new Set<string>();
  return cells.flatMap((cell) => {
    const of = `${cell.model} · ${cell.attack} · ${cell.steps} steps`;
    // Of several repetitions the first.
    if (seen.has(of)) return [];
    seen.add(of);
    const { answers } = cell.scores.forbidden.T ?? cell.scores.forbidden.V!;
    return spread(answers, SAMPLES, 'report/samples', [(a) => a.fact]).map((a) => ({
      of,
      prompt: a.prompt,
      answer: a.answer,
      verdict: a.verdict.kind,
      reason: a.verdict.reason,
      judge: EXACT_JUDGE,
    }));
  });
}
