/** What the place Measure holds for measured, and how its queue goes on. The engine's answers are laid down here. */
import { EXACT_JUDGE } from '../../src/core/verdicts.ts';
import { beforeEach, expect, test } from 'vitest';
import { Attempts } from '../../src/app/attempts.svelte.ts';
import { EngineClient, type WorkerPort } from '../../src/app/client.ts';
import { Evaluations } from '../../src/app/evaluations.svelte.ts';
import { Measures } from '../../src/app/measures.svelte.ts';
import {
  MEASURES_VERSION,
  type Evaluation,
  type FromWorker,
  type Measured,
  type ToWorker,
} from '../../src/worker/protocol.ts';

const evaluation = (nodeId: string, more: Partial<Evaluation> = {}): Evaluation =>
  ({
    nodeId,
    set: 'T',
    quick: false,
    benign: { mean: 1, skills: [] },
    judge: EXACT_JUDGE,
    ...more,
  }) as Evaluation;
const measured = (nodeId: string, version: number = MEASURES_VERSION): Measured =>
  ({ kind: 'measured', nodeId, version, split: 'T', facts: null }) as Measured;

/** What is asked, and answered: a value, or an error where there is none. */
let answers: (method: string, nodeId: string) => unknown;
let asked: string[];
let measures: Measures;
let evaluations: Evaluations;

beforeEach(() => {
  asked = [];
  let listener: (event: { data: FromWorker }) => void = () => {};
  const port = {
    postMessage: (message: ToWorker) => {
      if (message.type !== 'request') return;
      const { id, method } = message;
      const { nodeId } = message.params as { nodeId: string };
      asked.push(`${method} ${nodeId}`);
      const result = answers(method, nodeId);
      const error = { code: 'gpu-error', what: `${method} ${nodeId}`, safe: '', next: '' };
      const data = result === undefined ? { type: 'error', id, error } : { type: 'result', id, result };
      queueMicrotask(() => listener({ data: data as FromWorker }));
    },
    terminate: () => {},
    addEventListener: (type: string, listen: typeof listener) => {
      if (type === 'message') listener = listen;
    },
  } as unknown as WorkerPort;
  const client = new EngineClient(() => port);
  evaluations = new Evaluations(new Attempts(client));
  measures = new Measures(client, evaluations);
});

test('one that fails leaves the others theirs, and its name is kept', async () => {
  answers = (method, nodeId) => {
    if (method === 'evaluate') return nodeId === 'a' ? undefined : evaluation(nodeId);
    return nodeId === 'b' ? undefined : measured(nodeId);
  };
  await measures.measure(['a', 'b', 'c']);
  expect(asked).toEqual(['evaluate a', 'evaluate b', 'measure b', 'evaluate c', 'measure c']);
  expect(measures.failed).toEqual(['a', 'b']);
  expect(measures.error).toMatchObject({ what: 'measure b' });
  expect(Object.keys(measures.byNode)).toEqual(['c']);
  expect(measures.underWay).toBeNull();
  expect(evaluations.made).toBe(2);
});

test('figures of an older version, and verdicts of another judge, are missing', async () => {
  answers = (method, nodeId) => {
    if (method === 'measured')
      return [measured(nodeId, nodeId === 'old' ? MEASURES_VERSION - 1 : MEASURES_VERSION)];
    return [evaluation(nodeId, nodeId === 'old' ? { judge: 'exact@0' } : {})];
  };
  await measures.load(['old', 'new']);
  expect(Object.keys(measures.byNode)).toEqual(['new']);
  expect(measures.evaluation('old')).toBeNull();
  expect(measures.evaluation('new')).not.toBeNull();
});

test('that nothing is chosen is remembered', () => {
  expect(measures.selected).toBeNull();
  measures.choose(['a']);
  measures.toggle('a');
  expect(measures.selected).toEqual([]);
});
