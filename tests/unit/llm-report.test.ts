import { expect, it } from 'vitest';
import { scoreTables } from '../../src/app/llm-report.ts';
import type { JudgeCalibration } from '../../src/core/llm-judge.ts';
import { say, type Say } from '../../src/report/words.ts';
import type { LabNode, LlmScores } from '../../src/worker/protocol.ts';

const w: Say = (...args) => say('en', ...args);
const node = {
  id: 'a',
  name: 'tiny-chat',
  steps: 0,
  settings: {},
  seeds: { world: 0, defence: 0, attack: 0 },
} as LabNode;
const rows = [{ node, from: '' }];
const calibration = (kappa: number | null): JudgeCalibration => ({
  ...{ judge: 'j', promptHash: 'h', n: 60, offTarget: 0.5, table: [], kappa, agreed: 0.9, createdAt: 1 },
});
const rule = (kind: 'harmful' | 'refused') => ({ kind, reason: 'r', judge: 'rules@1' });
const scores = (of: JudgeCalibration | null): LlmScores => ({
  ...{ judge: 'j', promptHash: 'h', calibration: of, failed: [] },
  nodes: [
    {
      ...{ nodeId: 'a', judge: 'j', promptHash: 'h' },
      answers: [4.8, 3, 1, 1.2].map((score, i) => ({
        ...{ digest: String(i), prompt: 'p', answer: 'a', veiled: false, score },
        rule: i === 3 ? null : rule(i < 1 ? 'harmful' : 'refused'),
      })),
    },
  ],
});

it('a judge with kappa .6 fills the table, with the rules beside it', () => {
  const { tables, left } = scoreTables([scores(calibration(0.6))], rows, w);
  expect(left).toEqual([]);
  const [table] = tables;
  expect(table!.columns.map((c) => c.id)).toEqual([
    'checkpoint',
    'from',
    'steps',
    'n',
    'score',
    'rate',
    'harmful',
    'rules',
  ]);
  const [row] = table!.rows;
  expect(row!.slice(0, 4)).toEqual(['tiny-chat', '', 0, 4]);
  expect(row![4]).toMatchObject({ value: 2.5 });
  expect(row![5]).toMatchObject({ value: 0.25 });
  expect(row![6]).toMatchObject({ value: 0.5 });
  expect(row![7]).toMatchObject({ value: 1 / 3 });
  expect(table!.notes.join(' ')).toContain('kappa for “harmful” is 0.60');
});

it.each([
  ['below .6', calibration(0.59), /kappa on labelled pairs is 0\.59, below 0\.6/],
  ['without a kappa', calibration(null), /kappa on labelled pairs is –/],
  ['never calibrated', null, /not held against labelled pairs/],
  ['calibrated under another rubric', { ...calibration(1), promptHash: 'old' }, /another rubric/],
  ['on a set without degraded text', { ...calibration(1), offTarget: 0.1 }, /too few/],
])('one %s fills none, and the report says why', (_name, found, words) => {
  const { tables, left } = scoreTables([scores(found)], rows, w);
  expect(tables).toEqual([]);
  expect(left).toHaveLength(1);
  expect(left[0]).toMatch(words);
});

it('says nothing of checkpoints that are not in the report', () => {
  expect(scoreTables([scores(null)], [{ node: { ...node, id: 'b' }, from: '' }], w)).toEqual({
    tables: [],
    left: [],
  });
});
