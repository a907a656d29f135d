import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { main } from '../../src/cli/data.ts';

const dir = mkdtempSync(join(tmpdir(), 'data-'));
afterAll(() => rmSync(dir, { recursive: true }));

async function inspected(...args: string[]): Promise<Record<string, unknown>> {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  try {
    expect(await main(['inspect', ...args])).toBe(0);
    return JSON.parse(String(log.mock.calls[0]![0])) as Record<string, unknown>;
  } finally {
    log.mockRestore();
  }
}

describe('npm run data', () => {
  it('says what a file is, what is left out of it and why, and counts tokens with a model’s tokenizer', async () => {
    const path = join(dir, 'bells.csv');
    writeFileSync(path, 'goal,target\nopen the silver vault,sure\nlift the bell\n');
    const report = await inspected(path, '--tokenizer', 'public/models/tiny-chat');
    expect(report).toMatchObject({
      layout: 'advbench',
      mapping: { goal: 'goal', target: 'target' },
      rows: 1,
      rejected: {
        rows: 1,
        byReason: { columns: 1 },
        first: [
          {
            line: 3,
            what: 'It has 1 cells, and the first row has 2.',
            next: expect.stringContaining('comma'),
          },
        ],
      },
      tokens: { rows: 1, total: 5 },
      preview: [{ line: 2, opening: true }],
    });
  });

  it('takes a layout and a mapping', async () => {
    const path = join(dir, 'other.csv');
    writeFileSync(path, 'a,b,c\n1,Who?,She.\n');
    expect(await inspected(path, '--map', 'prompt=b', '--map', 'answer=c')).toMatchObject({
      layout: 'pairs',
      mapping: { prompt: 'b', answer: 'c', category: null },
      rows: 1,
    });
    expect(await inspected(path, '--layout', 'pairs', '--map', 'prompt=b', '--map', 'answer=')).toMatchObject(
      {
        notes: { 'no-answer': 1 },
      },
    );
    expect(await inspected(path, '--no-header', '--map', 'prompt=2', '--map', 'answer=3')).toMatchObject({
      rows: 2,
    });
  });

  it('makes a file in a layout, which it then knows', async () => {
    const path = join(dir, 'made.bin');
    expect(await main(['make', path, '--layout', 'sharegpt', '--mb', '0.2'])).toBe(0);
    expect(statSync(path).size).toBeGreaterThan(200_000);
    expect(await inspected(path)).toMatchObject({ layout: 'sharegpt', rejected: { rows: 0 } });
  });

  it.each([
    [[], 'Which command?'],
    [['look'], 'There is no command "look".'],
    [['inspect'], 'takes one file'],
    [['inspect', join(dir, 'nowhere.csv')], 'cannot be read'],
    [['inspect', 'x', '--layout', 'y'], '--layout is "y"'],
    [['inspect', 'x', '--map', 'prompt'], '--map is "prompt"'],
    [['inspect', 'x', '--rejected', '1.5'], '--rejected must be'],
    [['make', 'x', '--layout', 'y'], '--layout must be one of'],
    [['make', 'x', '--layout', 'lima', '--mb', '0'], '--mb must be'],
  ])('%j is refused in words', async (args, what) => {
    await expect(main(args)).rejects.toMatchObject({ message: expect.stringContaining(what) });
  });
});
