/** Results of one world or of several joined: as tables in the terminal, and as the files that were asked for. */
import { writeFileSync } from 'node:fs';
import { reportHtml } from '../../report/html.ts';
import { createWorld } from '../../world/world.ts';
import { SHIPPED_WORLD } from '../pretrain.ts';
import { protocolNow } from '../protocol.ts';
import { budgets, gridTables } from './budget.ts';
import { differences, differenceTable } from './differences.ts';
import { cellLines } from './answers.ts';
import { fairTables, fairText } from './fair.ts';
import { experimentReport } from './document.ts';
import { intervalNote, rows, type Row } from './figures.ts';
import { matrixTables, patternLines } from './tables.ts';
import type { Cell } from '../experiment/cells.ts';
import { PRESETS, type Preset, type RunSeeds } from '../experiment/matrix.ts';
import type { Result } from './result.ts';

export interface Outputs {
  json?: string | undefined;
  report?: string | undefined;
  answers?: string | undefined;
}

/** Everything measured on one world. */
interface WorldResults {
  worldSeed: number;
  results: readonly Result[];
  seeds: RunSeeds[];
  /** Of each repetition. */
  repetitions: Cell[][];
}

/**
 * @param command that leads to all of it
 * @param lead a line about how it came to be, for the terminal
 */
export function present(results: readonly Result[], outputs: Outputs, command: string, lead: string): void {
  const [first] = results as [Result];
  const preset = PRESETS.find((p) => p.id === first.preset)!;
  const worlds = byWorld(results);
  const { planned, set } = first;
  const sets = worlds.map((w) => ({ ...w, world: createWorld(w.worldSeed), cells: w.repetitions.flat() }));
  const all = rows(
    sets.map(({ world, cells, seeds }) => ({
      world,
      cells,
      repetitions: seeds.length,
      defences: new Set(seeds.map((s) => s.defence)).size,
    })),
    planned,
    set,
  );
  const found =
    first.kind === 'grid'
      ? { budgets: { strict: budgets(all), broad: budgets(all, 'broad') } }
      : {
          differences: differences(sets, planned, set),
          fair: fairTables(
            all,
            sets.flatMap((s) => s.cells),
          ),
        };
  const note = intervalNote(worlds.length, Math.min(...worlds.map((w) => w.seeds.length)));
  const failures = results.flatMap((r) => r.failures.map((f) => ({ ...f, worldSeed: r.worldSeed })));
  const where = (worldSeed: number): string => (worlds.length > 1 ? `world ${worldSeed}: ` : '');

  const out = [
    ...worlds.map(
      (w) =>
        `World ${w.worldSeed} (seed of its facts and pretraining), ${w.results[0]!.models.folder}; seeds of defences: ${w.seeds.map((s) => s.defence).join(', ')}; of attacks: ${w.seeds.map((s) => s.attack).join(', ')}`,
    ),
    `Preset ${preset.id}: ${preset.what}`,
    lead,
    note,
    '',
    ...tables(all, found, worlds, preset),
  ];
  if (failures.length > 0)
    out.push(
      '',
      'Runs that did not finish:',
      ...failures.map((f) => `${where(f.worldSeed)}${f.model} x ${f.attack}: ${f.why}`),
    );
  process.stdout.write(`${out.join('\n')}\n`);

  const report = experimentReport(
    {
      kind: first.kind,
      createdAt: new Date(),
      facts: reportFacts(worlds, preset, set),
      protocol: protocolNow(),
      deviations: departures(worlds, preset),
      caveats: [
        note,
        preset.divide === 1
          ? 'After 20 steps a defence looks best: every table that shows 20 steps shows 50 and 100 beside it.'
          : `Preset ${preset.id} shortens every run: its figures say nothing.`,
      ],
      command,
      parts: results.map((r) => ({ worldSeed: r.worldSeed, command: r.command, seeds: r.seeds })),
      failures: failures.map((f) => ({
        what: `${where(f.worldSeed)}${f.model} x ${f.attack}, seeds ${f.seeds.defence} and ${f.seeds.attack}`,
        why: f.why,
      })),
    },
    sets.flatMap((s) => s.cells),
    all,
    found,
  );
  if (outputs.report) writeFileSync(outputs.report, reportHtml(report));
  if (outputs.answers)
    writeFileSync(outputs.answers, results.flatMap((r) => [...cellLines(r.cells, r.command)]).join(''));
  if (outputs.json) {
    const json =
      results.length === 1
        ? { ...first, rows: all, ...found, report }
        : { joined: results.map(({ cells: _, ...about }) => about), rows: all, ...found, report };
    writeFileSync(outputs.json, `${JSON.stringify(json, null, 1)}\n`);
  }
}

function byWorld(results: readonly Result[]): WorldResults[] {
  const seeds = [...new Set(results.map((r) => r.worldSeed))].sort((a, b) => a - b);
  return seeds.map((worldSeed) => {
    const own = results.filter((r) => r.worldSeed === worldSeed);
    const isOf = (cell: Cell, run: RunSeeds): boolean =>
      cell.seeds.defence === run.defence && cell.seeds.attack === run.attack;
    return {
      worldSeed,
      results: own,
      seeds: own.flatMap((r) => r.seeds),
      repetitions: own.flatMap((r) => r.seeds.map((run) => r.cells.filter((cell) => isOf(cell, run)))),
    };
  });
}

function tables(
  all: readonly Row[],
  found: {
    budgets?: unknown;
    differences?: Parameters<typeof differenceTable>[0];
    fair?: Parameters<typeof fairText>[0];
  },
  worlds: readonly WorldResults[],
  preset: Preset,
): string[] {
  if (!found.differences) return [gridTables(all)];
  const shipped = worlds.length === 1 && worlds[0]!.worldSeed === SHIPPED_WORLD && preset.divide === 1;
  return [
    matrixTables(all),
    '',
    'Defended minus undefended, points with 95 % intervals, paired by seed',
    differenceTable(found.differences),
    '',
    fairText(found.fair ?? []),
    ...(shipped ? ['', 'The pattern of the shipped world:', ...patternLines(all)] : []),
  ];
}

function reportFacts(
  worlds: readonly WorldResults[],
  preset: Preset,
  set: 'V' | 'T',
): { name: string; value: string }[] {
  const results = worlds.flatMap((w) => w.results);
  const each = (of: (r: Result) => string): string => [...new Set(results.map(of))].join('; ');
  return [
    ...worlds.flatMap((w) => [
      { name: 'World', value: `${w.worldSeed} (seed of its facts and of its pretraining)` },
      ...Object.entries(w.results[0]!.models.weights).map(([name, value]) => ({
        name: `${name} of world ${w.worldSeed}, SHA-256`,
        value,
      })),
      { name: 'Seeds of defences', value: w.seeds.map((s) => s.defence).join(', ') },
      { name: 'Seeds of attacks', value: w.seeds.map((s) => s.attack).join(', ') },
    ]),
    { name: 'Preset', value: `${preset.id}: ${preset.what}` },
    { name: 'Prompts', value: `split ${set}, greedy answers of at most 40 tokens; sampled ones say so` },
    { name: 'Judge', value: 'exact: it knows every fact of the world' },
    { name: 'Adapter', value: each((r) => r.adapter) },
    { name: 'Kernels', value: each((r) => JSON.stringify(r.kernels)) },
    { name: 'Commit', value: each((r) => r.commit ?? 'unknown: run outside of a repository') },
    { name: 'Code, SHA-256', value: each((r) => r.code) },
  ];
}

/** Those of docs/prereg.md; world 2 failed before any attack and was replaced by 3. */
const REGISTERED_WORLDS: readonly number[] = [1, 3];

/** What was changed of docs/prereg.md: worlds 1 and 3, each for itself, three pairs of seeds, full recipes. */
function departures(worlds: readonly WorldResults[], preset: Preset): string[] {
  const out: string[] = [];
  for (const { worldSeed } of worlds) {
    if (worldSeed === SHIPPED_WORLD)
      out.push(
        'World 0 is the shipped world, on which the recipes were chosen: an exploration, no evidence.',
      );
    else if (!REGISTERED_WORLDS.includes(worldSeed))
      out.push(`World ${worldSeed} is none of the protocol's: those are ${REGISTERED_WORLDS.join(' and ')}.`);
  }
  if (worlds.length > 1) out.push('Worlds are pooled here; the protocol reports each for itself.');
  const codes = new Set(worlds.flatMap((w) => w.results.map((r) => r.code)));
  if (codes.size > 1) out.push(`The results were made by ${codes.size} versions of the code.`);
  if (preset.divide !== 1) out.push(`Preset ${preset.id}: ${preset.what}.`);
  const registered = JSON.stringify(repeated({ defence: 1, attack: 101 }, 3));
  if (worlds.some((w) => JSON.stringify(w.seeds) !== registered))
    out.push('Other seeds than defences 1, 2, 3 with attacks 101, 102, 103.');
  return out;
}

/** Seeds of each repetition. */
export const repeated = ({ defence, attack }: RunSeeds, n: number): RunSeeds[] =>
  Array.from({ length: n }, (_, i) => ({ defence: defence + i, attack: attack + i }));
