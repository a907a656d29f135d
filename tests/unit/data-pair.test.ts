import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { inventedFile } from '../../src/cli/data-rows.ts';
import { main } from '../../src/cli/data.ts';
import { LabError } from '../../src/core/errors.ts';
import { parsePrompts } from '../../src/data/prompts-file.ts';
import type { LayoutId } from '../../src/data/readers/index.ts';

let dir: string;
const at = (name: string): string => join(dir, name);
const make = (name: string, layout: LayoutId, rows: number, seed: number): void =>
  writeFileSync(at(name), [...inventedFile(layout, { rows, seed })].join(''));

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'pair-'));
  make('harmful.jsonl', 'beavertails', 400, 1);
  make('alpaca.json', 'alpaca', 500, 2);
  make('lima.jsonl', 'lima', 100, 3);
  make('attack.csv', 'advbench', 100, 4);
  make('eval.csv', 'pairs', 30, 5);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));
afterEach(() => void vi.restoreAllMocks());

async function pair(...argv: string[]): Promise<{ code: number; said: Record<string, unknown> }> {
  vi.restoreAllMocks();
  const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
  const code = await main(['pair', ...argv]);
  return { code, said: JSON.parse(log.mock.calls.map((call) => call.join(' ')).join('\n')) };
}
const files = (): string[] => [
  ...['--harmful', at('harmful.jsonl'), '--answers', at('alpaca.json'), '--answers', at('lima.jsonl')],
  ...['--attack', at('attack.csv'), '--openings', '--eval', at('eval.csv')],
];

describe('npm run data -- pair', () => {
  it('reads published layouts and writes a prompts file, chats and a manifest, all from a seed', async () => {
    const o = ['--seed', '7', '--total', '50', '--threshold', '0.4', '--attack-size', '10'];
    const { code, said } = await pair(...files(), '--out', at('one'), ...o);
    expect(code).toBe(0);
    expect(said).toMatchObject({ counts: { pairs: 50, attack: 10 } });
    expect(readdirSync(at('one')).sort()).toEqual(['manifest.json', 'pairs.jsonl', 'prompts.jsonl']);
    const read = (folder: string, name: string): string => readFileSync(join(at(folder), name), 'utf8');
    const { harmful, benign } = parsePrompts(read('one', 'prompts.jsonl'), '');
    expect(harmful.defence).toHaveLength(50);
    expect(harmful.defence.every((r) => r.irrelevant !== undefined)).toBe(true);
    expect(harmful.attack.every((r) => r.answer === r.opening)).toBe(true);
    expect(harmful.eval.length).toBeGreaterThan(20);
    expect(benign.attack.length).toBeGreaterThan(100);
    expect(read('one', 'pairs.jsonl').trim().split('\n')).toHaveLength(50);
    const manifest = JSON.parse(read('one', 'manifest.json')) as {
      sources: { name: string; sha256: string }[];
      settings: object;
      date: string;
    };
    expect(manifest.settings).toMatchObject({ sample: { per: 'total', n: 50 }, threshold: 0.4 });
    expect(Date.parse(manifest.date)).toBeGreaterThan(0);
    for (const { name, sha256 } of manifest.sources)
      expect(sha256).toBe(
        createHash('sha256')
          .update(readFileSync(at(name)))
          .digest('hex'),
      );
    await pair(...files(), '--out', at('two'), ...o);
    expect(read('two', 'prompts.jsonl')).toBe(read('one', 'prompts.jsonl'));
  });

  it('takes a sample per category, refusals and edits of its user', async () => {
    writeFileSync(at('refusals.txt'), 'No.\n\nNot that.\n');
    writeFileSync(at('edits.json'), '{}');
    const { said } = await pair(
      ...[...files(), '--out', at('three'), '--per-category', '4', '--threshold', '0.4', '--reject'],
      ...['--refusals', at('refusals.txt'), '--edits', at('edits.json')],
    );
    expect(said).toMatchObject({ counts: { pairs: 20 } });
    const { harmful, refusals } = parsePrompts(readFileSync(join(at('three'), 'prompts.jsonl'), 'utf8'), '');
    expect(refusals).toEqual(['No.', 'Not that.']);
    expect(harmful.defence.every((r) => refusals.includes(r.refusal!))).toBe(true);
  });

  it('reads files as it is told to, and takes the edits of a manifest', async () => {
    const bare = Array.from(
      { length: 40 },
      (_, i) => `how is door ${i} of hall ${i * 3} opened,pull bar ${i}`,
    );
    writeFileSync(at('bare.csv'), bare.join('\n'));
    writeFileSync(
      at('swapped.csv'),
      ['reply,task', ...bare.map((line) => line.split(',').reverse().join(','))].join('\n'),
    );
    const run = async (file: string, out: string, ...argv: string[]): Promise<Record<string, unknown>> => {
      await pair('--harmful', at(file), '--answers', at('alpaca.json'), '--out', at(out), ...argv);
      return JSON.parse(readFileSync(join(at(out), 'manifest.json'), 'utf8')) as Record<string, unknown>;
    };
    const told = await run('bare.csv', 'told', '--layout', 'harmful:pairs', '--no-header', 'bare.csv');
    expect(told.sources).toMatchObject([
      { rows: 40, header: false, mapping: { prompt: '1', answer: '2' } },
      {},
    ]);
    const swapped = await run(
      ...(['swapped.csv', 'swapped', '--layout', 'harmful:pairs'] as const),
      ...['--map', 'swapped.csv:prompt=task', '--map', 'harmful:answer=reply'],
    );
    expect(swapped.sources).toMatchObject([{ rows: 40, mapping: { prompt: 'task', answer: 'reply' } }, {}]);
    const prompts = readFileSync(join(at('swapped'), 'prompts.jsonl'), 'utf8');
    expect(parsePrompts(prompts, '').harmful.defence.every((r) => /^how is door/.test(r.prompt))).toBe(true);
    writeFileSync(at('changed.json'), JSON.stringify({ ...told, edits: { unknown: { exclude: true } } }));
    const again = await run(
      'bare.csv',
      'again',
      '--layout',
      'harmful:pairs',
      '--no-header',
      'harmful',
      '--edits',
      at('changed.json'),
    );
    expect(again.edits).toEqual({ unknown: { exclude: true } });
  });

  it.each([
    [['--harmful', 'x'], /needs --harmful FILE, --answers FILE and --out DIR/],
    [['--nonsense'], /nonsense/],
    [[...'--total 5 --per-category 5'.split(' ')], /Either --total or --per-category/],
    [['--seed', '1.5'], /--seed must be a whole number/],
    [['--threshold', 'much'], /--threshold is "much"/],
    [['--threshold', '3'], /Setting "threshold"/],
    [['--category', 'arson'], /No row has the category "arson"/],
    [['--refusals', 'absent.txt'], /absent.txt cannot be read/],
    [['--threshold=-1'], /refuses every pair/],
    [
      ['--layout', 'nobody:pairs'],
      /--layout is "nobody:pairs".*must begin with one of harmful, harmful.jsonl/,
    ],
    [['--layout', 'harmful:xml'], /--layout is "xml"/],
    [['--map', 'attack:goal=absent'], /attack.csv has no column "absent"/],
    [['--edits', 'absent.json'], /absent.json cannot be read/],
  ])('refuses %j in words, and writes nothing', async (argv, why) => {
    const out = at('bad');
    const whole = argv[0] === '--harmful' ? argv : [...files(), '--out', out, ...argv];
    const error: unknown = await pair(...whole).then(
      () => null,
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(LabError);
    expect((error as LabError).message).toMatch(why);
    expect(existsSync(out)).toBe(false);
    expect(readdirSync(dir).filter((name) => name.includes('.part-'))).toEqual([]);
  });

  it('never writes over what is there', async () => {
    await expect(pair(...files(), '--out', dir)).rejects.toThrow(/is not empty/);
  });
});
