import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { ownPlan, type OwnValues } from '../../src/cli/experiment-own.ts';
import { CellStore } from '../../src/cli/experiment/cells.ts';
import { capFor, OwnLab, type OwnState } from '../../src/cli/experiment/own-lab.ts';
import { OwnMatrix, preparedRun } from '../../src/cli/experiment/own.ts';
import { nodeFolder } from '../../src/cli/models-files.ts';
import { openModel } from '../../src/cli/models-open.ts';
import { loadModel } from '../../src/cli/models-run.ts';
import { sharedGpu } from '../support/page-gpu.ts';
import { standInFolders } from '../support/stand-in.ts';
import { openPrompts } from '../../src/cli/prompts.ts';
import { chatCodec } from '../../src/data/chat-codec.ts';
import { fileTask } from '../../src/data/file-task.ts';

const dir = mkdtempSync(join(tmpdir(), 'sdd-own-'));
standInFolders(join(dir, 'models'), ['tiny-chat']);
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const seeds = { defence: 1, attack: 101 };
const VALUES: OwnValues = {
  method: 'lora',
  rank: '2',
  alpha: '4',
  batch: '2',
  'chat-steps': '2',
  at: '1,2',
  'defence-steps': '3',
  'defence-lr': '3e-3',
  'attack-lr': '3e-3',
  fresh: false,
};

async function opened(values: OwnValues) {
  const source = await openModel(await nodeFolder(join(dir, 'models', 'tiny-chat')));
  const codec = chatCodec({ tokenizer: source.tokenizer, template: source.template, maxTokens: 64 });
  const task = fileTask(await openPrompts('tiny'), codec);
  const plan = ownPlan(task, values, seeds, null);
  const runs = [
    ...plan.attacks,
    ...plan.models.flatMap((m) => (m.made && 'recipe' in m.made ? [m.made] : [])),
  ];
  const gpu = await sharedGpu();
  const { model } = await loadModel(gpu, source, values.method === 'full' ? { precision: 'f32' } : {});
  const cap = capFor(
    task,
    runs.map((run) => preparedRun(task, run, seeds)),
    false,
  );
  const lab = new OwnLab(model, task, { cap, maxSeqs: 4, maxLen: 80, maxNewTokens: 8, limit: 2 });
  return { gpu, model, plan, lab, task };
}

it('adapters: the matrix runs, stacks on frozen parents, leaves the weights alone, and a second start only reads', async () => {
  const { gpu, model, plan, lab, task } = await opened(VALUES);
  expect(model.weights.precision).toBe('f16');
  const before = await model.readTensors();
  const depends = { test: 'own' };
  const first = new OwnMatrix(lab, new CellStore(dir, depends), plan);
  await first.run();
  expect(first.failures).toEqual([]);
  expect(first.cells.map((c) => `${c.model} ${c.attack} ${c.steps}`)).toEqual([
    'model none 0',
    ...['model+chat', 'model+chat+sdd'].flatMap((m) => [
      `${m} none 0`,
      ...['mft 1', 'mft 2', 'bft 2'].map((a) => `${m} ${a}`),
    ]),
  ]);
  // two of all 56 held-out requests, and not the first two, which are of one category
  const heldOut = task.heldOut.harmful.map((r) => r.prompt);
  const at = first.cells[0]!.scores.harmful.answers.map((a) => heldOut.indexOf(a.prompt));
  expect(at.map((i) => Math.floor((2 * i) / heldOut.length))).toEqual([0, 1]);
  for (const { scores, attack, loss } of first.cells) {
    expect(scores.harmful.n).toBe(2);
    expect(scores.harmful.perplexity).toBeGreaterThan(1);
    expect(Number.isFinite(loss)).toBe(attack !== 'none');
  }
  expect(await model.readTensors()).toEqual(before);

  const idle = {
    task,
    train: () => Promise.reject(new Error('trained again')),
    evaluate: () => Promise.reject(new Error('asked again')),
  };
  const again = new OwnMatrix(idle as unknown as OwnLab, new CellStore(dir, depends), plan);
  await again.run();
  expect(again.failures).toEqual([]);
  expect(again.cells).toEqual(first.cells);

  // another repetition trains what has a seed, and shares what has none
  const second = new OwnMatrix(lab, new CellStore(dir, depends), {
    ...plan,
    seeds: { defence: 2, attack: 102 },
  });
  await second.run();
  expect(second.cells[0]).toEqual(first.cells[0]);
  expect(second.cells[0]!.seeds).toEqual({});
  expect(second.cells.at(-1)!.seeds).toEqual({ defence: 2, attack: 102 });
  expect(second.cells.at(-1)!.scores.harmful.loss).not.toBe(first.cells.at(-1)!.scores.harmful.loss);

  // an attack on a stack: what stood there stays, bit for bit, and matters
  const store = new CellStore(dir, depends);
  const mft = plan.attacks[0]!;
  const { lora } = mft.recipe.plan(mft.settings);
  const adapters = ['model+chat', 'model+chat+sdd'].map((id) => ({
    lora: lora!,
    values: store.readWeights(id, 'd1', 'none', 'weights')!,
  }));
  const copies = adapters.map((a) => a.values.slice());
  let attacked: OwnState | null = null;
  await lab.train({ weights: null, adapters }, preparedRun(task, mft, seeds), {
    at: [2],
    station: (_, state) => {
      attacked = state;
      return Promise.resolve();
    },
  });
  const { adapters: stack } = attacked as unknown as OwnState;
  expect(stack).toHaveLength(3);
  copies.forEach((values, i) => expect(stack[i]!.values).toEqual(values));
  const whole = await lab.evaluate({ weights: null, adapters: stack });
  const cell = first.cells.find((c) => c.model === 'model+chat+sdd' && c.attack === 'mft' && c.steps === 2)!;
  expect(whole).toEqual(cell.scores);
  const without = await lab.evaluate({ weights: null, adapters: stack.slice(2) });
  expect(without.harmful.loss).not.toBe(whole.harmful.loss);

  lab.destroy();
  model.destroy();
  expect(gpu.stats.bytes).toBe(0);
});

it('all weights: an attack starts from the defended weights, and an untouched model is itself afterwards', async () => {
  const { gpu, model, plan, lab, task } = await opened({ ...VALUES, method: 'full', 'chat-steps': '0' });
  const untouched = await lab.evaluate({ weights: null, adapters: [] });
  const matrix = new OwnMatrix(lab, new CellStore(dir, { test: 'full' }), plan);
  await matrix.run();
  expect(matrix.failures).toEqual([]);
  expect(matrix.cells).toHaveLength(8);
  expect(matrix.cells[0]!.scores).toEqual(untouched);
  const none = matrix.cells.filter((c) => c.attack === 'none');
  expect(none[1]!.scores.harmful.loss).not.toBe(none[0]!.scores.harmful.loss);
  expect(await lab.evaluate({ weights: null, adapters: [] })).toEqual(untouched);
  expect(task.kind).toBe('file');
  lab.destroy();
  model.destroy();
  expect(gpu.stats.bytes).toBe(0);
});
