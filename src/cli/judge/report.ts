import { COARSE_KINDS, VERDICTS, type CoarseKind } from '../../core/verdicts.ts';
import { agreement, type Agreement } from '../../eval/judges/agreement.ts';
import type { Calibration } from '../../eval/judges/rules/calibrate.ts';
import { coarseOf, MAPPING_TEXT, MAPPINGS, type Mapping } from './answers.ts';
import type { RuledAnswer } from './tiny-rules.ts';

export interface JudgeReport {
  use: 'fixed' | 'reported';
  /** Of the defence; what depends on no seed stands with the first. */
  seed: number;
  checkpoints: number;
  /** Answers, and how many of them are different ones to different prompts. */
  n: number;
  distinct: number;
  /** By each way of reading the exact verdicts: over all answers, and with equal ones counted once. */
  by: Record<Mapping, { all: Agreement<CoarseKind>; distinct: Agreement<CoarseKind> }>;
  /** Exact verdicts in rows, rules in columns. */
  verdicts: Record<(typeof VERDICTS)[number], number[]>;
  /** Answers on which the first mapping and the rules differ, some of each kind of difference. */
  examples: { exact: string; rules: string; n: number; prompt: string; answer: string; reason: string }[];
}

const MAIN = MAPPINGS[0];

export function judgeReport(
  use: JudgeReport['use'],
  seed: number,
  answers: readonly RuledAnswer[],
): JudgeReport {
  const own = answers.filter((a) => a.seed === seed);
  const once = [
    ...new Map(own.map((a) => [JSON.stringify([a.root, a.prompt, a.answer, a.ended]), a])).values(),
  ];
  const compare = (some: readonly RuledAnswer[], by: Mapping): Agreement<CoarseKind> =>
    agreement(
      some.map((a) => coarseOf(a, by)),
      some.map((a) => a.rules.kind),
      COARSE_KINDS,
    );
  const groups = new Map<string, RuledAnswer[]>();
  for (const a of own) {
    if (coarseOf(a, MAIN) === a.rules.kind) continue;
    const key = `${a.verdict} ${a.rules.kind}`;
    groups.set(key, [...(groups.get(key) ?? []), a]);
  }
  return {
    use,
    seed,
    checkpoints: new Set(own.map((a) => `${a.model} ${a.attack} ${a.steps}`)).size,
    n: own.length,
    distinct: once.length,
    by: Object.fromEntries(
      MAPPINGS.map((by) => [by, { all: compare(own, by), distinct: compare(once, by) }]),
    ) as JudgeReport['by'],
    verdicts: Object.fromEntries(
      VERDICTS.map((v) => [
        v,
        COARSE_KINDS.map((kind) => own.filter((a) => a.verdict === v && a.rules.kind === kind).length),
      ]),
    ) as JudgeReport['verdicts'],
    examples: [...groups.values()]
      .sort((a, b) => b.length - a.length)
      .map((some) => {
        const { verdict, rules, prompt, answer } = some[Math.floor(some.length / 2)]!;
        return { exact: verdict, rules: rules.kind, n: some.length, prompt, answer, reason: rules.reason };
      }),
  };
}

const f2 = (x: number): string => x.toFixed(3);

function table(head: readonly string[], body: readonly (readonly string[])[]): string {
  const widths = head.map((h, i) => Math.max(h.length, ...body.map((row) => row[i]!.length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  return [line(head), ...body.map(line)].join('\n');
}

function calibrationLines({
  reference,
  measure,
  chats,
  thresholds,
  perplexity,
  similarity,
}: Calibration): string {
  const t = thresholds;
  return [
    `${reference}, on its own answers to ${chats} benign chats:`,
    `  perplexity at most ${t.perplexity?.toFixed(2) ?? '-'}${perplexity ? ` (${perplexity.slack} x ${perplexity.value.toFixed(2)}, its ${100 * perplexity.quantile} % quantile)` : ''}`,
    `  ${measure ?? 'no'} similarity ${t.similarity === null ? 'not used' : `at least ${t.similarity.toFixed(3)}`}${similarity ? ` (tells ${similarity.truePairs} true pairs from ${similarity.otherPairs} nearest others with balanced accuracy ${f2(similarity.accuracy)})` : ''}`,
    `  repeated word triples at most ${(100 * t.repeated).toFixed(0)} %; must end: ${t.ends ? 'yes' : 'no'}; must close its sentence: ${t.closes ? 'yes' : 'no'}`,
  ].join('\n');
}

function reportTables(r: JudgeReport): string {
  const main = r.by[MAIN].all;
  return [
    `Seed ${r.seed} (${r.use === 'fixed' ? 'on which settings were chosen' : 'reported'}): ${r.checkpoints} checkpoints, ${r.n} answers, ${r.distinct} different ones`,
    '',
    `${MAPPING_TEXT[MAIN]}; exact judge in rows, rules in columns`,
    table(
      ['', ...COARSE_KINDS, 'F1'],
      COARSE_KINDS.map((kind, i) => [kind, ...main.table[i]!.map(String), f2(main.f1[i]!)]),
    ),
    `macro-F1 ${f2(main.macroF1)}; kappa ${main.kappa === null ? '-' : f2(main.kappa)}; agreement ${f2(main.agreed)}`,
    '',
    'The verdicts that the rules cannot tell apart',
    table(
      ['exact verdict', ...COARSE_KINDS],
      VERDICTS.map((v) => [v, ...r.verdicts[v].map(String)]),
    ),
    '',
    'By other readings of the exact verdicts, and with equal answers counted once',
    table(
      ['macro-F1', 'all', 'different'],
      MAPPINGS.map((by) => [by, f2(r.by[by].all.macroF1), f2(r.by[by].distinct.macroF1)]),
    ),
    ...MAPPINGS.map((by) => `  ${by}: ${MAPPING_TEXT[by]}`),
    '',
    'Where they differ, most frequent first',
    ...r.examples.map((e) => `  ${e.n} x ${e.exact} -> ${e.rules}: ${e.prompt} | ${e.answer} | ${e.reason}`),
  ].join('\n');
}

export function judgeTables(result: {
  judge: string;
  description: string;
  worldSeed: number;
  calibrations: Partial<Record<string, Calibration>>;
  reports: readonly JudgeReport[];
}): string {
  return [
    `${result.judge} against the exact judge, world ${result.worldSeed}`,
    result.description,
    '',
    'Thresholds',
    ...Object.values(result.calibrations).map((c) => calibrationLines(c!)),
    ...result.reports.flatMap((r) => ['', reportTables(r)]),
    '',
    'This checks code against code on sentences of an invented world. It says nothing of how the rules do on real text: there they',
    'are uncalibrated until a person has judged at least 100 answers blind.',
  ].join('\n');
}
