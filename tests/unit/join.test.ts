/** Results of several worlds or seeds laid together: what may be joined, and what comes of it. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { main } from '../../src/cli/experiment.ts';
import type { Result } from '../../src/cli/summary/result.ts';
import { readReport } from '../../src/report/document.ts';
import { createWorld } from '../../src/world/world.ts';
import { battery, cell } from './support/cells.ts';

const dir = mkdtempSync(join(tmpdir(), 'sdd-join-'));
const LOOKS = [
  { model: 'chat', attack: 'none', steps: 0 },
  ...['chat', 'chat+sdd'].flatMap((model) => [20, 50, 100].map((steps) => ({ model, attack: 'mft', steps }))),
];

/** As `npm run experiment -- --json` leaves it. */
function result(
  worldSeed: number,
  seeds: readonly number[],
  share: number,
  change: Partial<Result> = {},
): Result {
  const world = createWorld(worldSeed);
  const runs = seeds.map((n) => ({ defence: n, attack: 100 + n }));
  return {
    kind: 'matrix',
    worldSeed,
    models: { folder: `w${worldSeed}`, weights: { 'tiny-chat': `${worldSeed}`.repeat(64) } },
    preset: 'quick',
    set: 'T',
    seeds: runs,
    adapter: 'test',
    kernels: {},
    commit: null,
    code: 'c'.repeat(64),
    command: `npm run experiment -- --models w${worldSeed} --seeds ${seeds.length}`,
    planned: LOOKS,
    failures: [],
    cells: runs.flatMap((run) =>
      LOOKS.map((p) => ({
        ...cell(p.model, p.attack, p.steps, p.model === 'chat' ? 1 : share, run.defence, world),
        battery: battery(0.5),
      })),
    ),
    ...change,
  };
}

let count = 0;
function file(content: unknown): string {
  const path = join(dir, `${count++}.json`);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

const joined = (...paths: string[]): string[] => paths.flatMap((path) => ['--join', path]);

describe('two worlds', () => {
  const out = { json: join(dir, 'all.json'), report: join(dir, 'all.html'), answers: join(dir, 'all.jsonl') };
  let printed = '';

  beforeAll(async () => {
    const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      printed += String(text);
      return true;
    });
    const paths = [file(result(0, [1, 2], 0)), file(result(1, [1], 1)), file(result(1, [2], 1))];
    const outputs = Object.entries(out).flatMap(([name, path]) => [`--${name}`, path]);
    expect(await main([...joined(...paths), ...outputs])).toBe(0);
    write.mockRestore();
  });

  test('stand in one table, each world with the same weight', () => {
    expect(printed).toContain('world > seed > category > fact, over 2 worlds with 2 runs each');
    expect(printed).toContain('Illustration');
    expect(printed).toMatch(/\| chat\+sdd \| mft +\| 20 +\| 4\/4 +\| 56 /);
    expect(printed).toMatch(/\| chat +\| none +\| 0 +\| 2\/2 /);
    const { rows, differences } = JSON.parse(readFileSync(out.json, 'utf8')) as {
      rows: { model: string; steps: number; figures: { strict: { value: number; interval: number[] } } }[];
      differences: { figures: { strict: { value: number } } }[];
    };
    const row = rows.find((r) => r.model === 'chat+sdd' && r.steps === 20)!;
    expect(row.figures.strict.value).toBe(0.5);
    expect(row.figures.strict.interval).toEqual([0, 1]);
    expect(differences[0]!.figures.strict.value).toBe(-0.5);
  });

  test('their report says so, how each part is measured again, and that the protocol does not pool worlds', () => {
    const report = readReport(
      JSON.stringify((JSON.parse(readFileSync(out.json, 'utf8')) as { report: unknown }).report),
    );
    expect(report.protocol!.deviations).toContainEqual(expect.stringContaining('Worlds are pooled here'));
    expect(report.commands.map((c) => c.what)).toEqual([
      'all of it',
      'world 0, seeds 1 and 101',
      'world 0, seeds 2 and 102',
      'world 1, seeds 1 and 101',
      'world 1, seeds 2 and 102',
    ]);
    expect(report.commands[3]!.command).toBe(
      'npm run experiment -- --models w1 --seeds 1 --defence-seed 1 --attack-seed 101',
    );
    expect(readFileSync(out.report, 'utf8')).toContain('Worlds are pooled here');
    const lines = readFileSync(out.answers, 'utf8').trim().split('\n');
    const worlds = new Set(lines.map((line) => (JSON.parse(line) as { world: number }).world));
    expect([...worlds].sort()).toEqual([0, 1]);
  });
});

describe('what cannot be joined is refused in words', () => {
  const one = (): string => file(result(0, [1], 0));
  const broken = result(0, [1], 0);
  test.each<[string, () => string[], RegExp]>([
    ['a single file', () => [one()], /nothing to join it with/],
    ['no JSON', () => [one(), file('{"kind":')], /is no result of "npm run experiment": .*JSON/],
    ['another JSON', () => [one(), file({ format: 'sdd-lab-report' })], /is no result/],
    ['a file that is not there', () => [one(), join(dir, 'nowhere.json')], /nowhere\.json.*ENOENT/],
    [
      'a look of another world',
      () => [one(), file({ ...broken, worldSeed: 5 })],
      /look "chat none 0 1" is of world 0/,
    ],
    [
      'an unknown model',
      () => [one(), file({ ...broken, planned: [{ model: 'gpt', attack: 'mft', steps: 1 }] })],
      /planned\.0\.model/,
    ],
    ['the same run twice', () => [one(), one()], /world 0, seeds 1 and 101 is in .* it would count twice/],
    [
      'another preset',
      () => [one(), file(result(1, [1], 0, { preset: 'smoke' }))],
      /its preset is smoke, not quick/,
    ],
    [
      'a preset that there is not',
      () => [file({ ...broken, preset: 'tiny' }), one()],
      /is no result of .*preset/,
    ],
    [
      'looks without answers to the split',
      () => [one(), file({ ...broken, set: 'V' })],
      /look "chat none 0 1" has no answers to split V/,
    ],
    [
      'other looks',
      () => [one(), file(result(1, [1], 0, { planned: LOOKS.slice(1) }))],
      /did not plan the same looks: "chat none 0"/,
    ],
    ['a grid', () => [one(), file(result(1, [1], 0, { kind: 'grid' }))], /its kind is grid/],
    [
      'other models of the same world',
      () => [one(), file(result(0, [2], 0, { models: { folder: 'x', weights: { 'tiny-chat': 'other' } } }))],
      /of world 0, but of other models/,
    ],
  ])('%s', async (_, paths, message) => {
    await expect(main(joined(...paths()))).rejects.toThrow(message);
  });

  test('an option that would be ignored', async () => {
    await expect(main([...joined(one(), one()), '--seeds', '3'])).rejects.toThrow('--seeds means nothing');
    await expect(main([...joined(one(), one()), '--model', 'x'])).rejects.toThrow(
      '--join belongs to the tiny',
    );
  });
});
