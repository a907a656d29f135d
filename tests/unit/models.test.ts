import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { TrainingRecord } from '../../src/cli/model-folder.ts';
import { SKILLS } from '../../src/world/words.ts';

const DIR = 'public/models';
const NAMES = ['tiny-base', 'tiny-chat'];

describe('the shipped models', () => {
  test('are small enough to load with the page: 6 MB together', () => {
    const sizes = NAMES.flatMap((name) =>
      readdirSync(join(DIR, name)).map((file) => statSync(join(DIR, name, file)).size),
    );
    expect(sizes.reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(6e6);
  });

  test.each(NAMES)('%s: its record can be replayed and drawn', (name) => {
    const record = JSON.parse(readFileSync(join(DIR, name, 'training.json'), 'utf8')) as TrainingRecord;
    expect(record.model).toBe(name);
    expect(record.firstLosses).toHaveLength(30);
    expect(record.curve.length).toBeGreaterThanOrEqual(40);
    expect(record.curve.at(-1)![0]).toBe(record.steps);
    for (const loss of [...record.firstLosses, ...record.curve.map(([, l]) => l)])
      expect(Number.isFinite(loss) && loss > 0).toBe(true);
  });

  test.each(NAMES)('%s: its record holds the checksum of the weights', (name) => {
    const { weightsSha256 } = JSON.parse(
      readFileSync(join(DIR, name, 'training.json'), 'utf8'),
    ) as TrainingRecord;
    const weights = readFileSync(join(DIR, name, 'model.safetensors'));
    expect(createHash('sha256').update(weights).digest('hex')).toBe(weightsSha256);
  });

  test.each(NAMES)('%s: its card gives the accuracy on all eleven skills', (name) => {
    const card = readFileSync(join(DIR, name, 'README.md'), 'utf8');
    expect(SKILLS).toHaveLength(11);
    for (const skill of SKILLS)
      expect(card).toMatch(new RegExp(`^\\| ${skill} \\| [\\d.]+ % \\| \\d+ \\|$`, 'm'));
  });
});
