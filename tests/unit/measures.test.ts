/** What the place Measure holds for measured, and how its queue goes on. The engine's answers are laid down here. */
import { EXACT_JUDGE } from '../../src/core/verdicts.ts';
import { beforeEach, expect, test } from 'vitest';
import { Attempts } from '../../src/app/attempts.svelte.ts';
import { EngineClient, type WorkerPort } from '../../src/app/client.ts';
import { Evaluations } from '../../src/app/evaluations.svelte.ts';
import { Looks } from '../../src/app/looks.svelte.ts';
import { Measures } from '../../src/app/measures.svelte.ts';
import {
  MEASURES_VERSION,
  type Evaluation,
  type FromWorker,
  type LabNode,
  type Look,
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
const measured = (nodeId: string, version: number = MEASURES_VERSION, battery: unknown = {}): Measured =>
  ({ kind: 'measured', nodeId, version, split: 'T', facts: null, battery }) as Measured;
const nodes = (...ids: string[]) => ids.map((id) => ({ id, root: 'tiny-chat' as const }));

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
  const attempts = new Attempts(client);
  evaluations = new Evaluations(attempts);
  measures = new Measures(client, evaluations, new Looks(attempts));
});

test('one that fails leaves the others theirs, and its name is kept', async () => {
  answers = (method, nodeId) => {
    if (method === 'evaluate') return nodeId === 'a' ? undefined : evaluation(nodeId);
    if (method === 'measure') return nodeId === 'b' ? undefined : measured(nodeId);
    return [];
  };
  await measures.measure(nodes('a', 'b', 'c'), null);
  expect(asked.filter((a) => /^(evaluate|measure) /.test(a))).toEqual([
    'evaluate a',
    'evaluate b',
    'measure b',
    'evaluate c',
    'measure c',
  ]);
  expect(measures.failed).toEqual(['a', 'b']);
  expect(measures.job.error).toMatchObject({ what: 'measure b' });
  expect(Object.keys(measures.byNode)).toEqual(['c']);
  expect(measures.job.underWay).toBeNull();
  expect(evaluations.made).toBe(2);
});

test('figures of an older version, and verdicts of another judge, are missing', async () => {
  answers = (method, nodeId) => {
    if (method === 'unfinished') return [];
    if (method === 'measured')
      return [measured(nodeId, nodeId === 'old' ? MEASURES_VERSION - 1 : MEASURES_VERSION)];
    return [evaluation(nodeId, nodeId === 'old' ? { judge: 'exact@0' } : {})];
  };
  await measures.load(nodes('old', 'new'));
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

test('what came before one failed is there, and is asked for again', async () => {
  const verdicts = evaluation('a', { benign: null, partial: true });
  const so = { nodeId: 'a', work: 'evaluate/T', answered: 112, total: 592 };
  answers = (method) =>
    ({
      evaluate: undefined,
      evaluations: [verdicts],
      measured: [measured('a', MEASURES_VERSION, null)],
      unfinished: [so],
    })[method];
  await measures.measure(nodes('a'), null);
  expect(measures.failed).toEqual(['a']);
  expect(measures.evaluation('a')).toEqual(verdicts);
  expect(measures.whole('a')).toBe(false);
  const [row] = measures.rows(
    [{ node: { id: 'a' } as LabNode, absent: false }],
    () => '',
    (node) => [node],
  );
  expect(row).toMatchObject({ evaluation: verdicts, measured: { battery: null }, unfinished: [so] });
  // verdicts without their everyday tasks are not the end of it
  answers = (method) => (method === 'evaluate' ? evaluation('a') : measured('a'));
  asked = [];
  await measures.measure(nodes('a'), null);
  expect(asked).toEqual(['evaluate a', 'measure a']);
  expect(measures.whole('a')).toBe(true);
  expect(measures.unfinished).toEqual({ a: [] });
});

test('opened models are asked with the chosen file, and never evaluated', async () => {
  const look = { nodeId: 'own', prompts: { id: 'f', name: 'f' } } as Look;
  answers = (method) => (method === 'look' ? look : [look]);
  await measures.measure([{ id: 'own', root: null }], 'f');
  expect(asked).toEqual(['look own', 'looks own']);
  expect(measures.failed).toEqual([]);
});
