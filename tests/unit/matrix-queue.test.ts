/** The matrix of models and attacks in the page: what is missing, in which order it is run, and how it goes on. */
import { describe, expect, it } from 'vitest';
import { matrixModels, matrixTasks, WAYS, type Way } from '../../src/app/matrix-plan.ts';
import { MatrixQueue, type MatrixLab } from '../../src/app/matrix-queue.svelte.ts';
import { RunView } from '../../src/app/runs.svelte.ts';
import { isRunOf } from '../../src/app/series.ts';
import { recipe } from '../../src/recipes/index.ts';
import type {
  Evaluation,
  LabNode,
  RecipeInfo,
  RunInfo,
  Settings,
  TrainParams,
} from '../../src/worker/protocol.ts';

const recipes = ['mft', 'bft'].map((id) => {
  const { step: _, data: __, plan: ___, ...info } = recipe(id);
  return info as unknown as RecipeInfo;
});
const node = (id: string, kind: LabNode['kind'], more: Partial<LabNode> = {}): LabNode =>
  ({
    ...{ id, name: id, kind, parentId: null, root: 'tiny-chat', recipe: null, steps: 0, settings: {} },
    seeds: { world: 0, defence: 1, attack: 1 },
    ...more,
  }) as LabNode;
const chat = node('chat', 'base');
const booster = node('booster', 'defence', { parentId: 'chat', recipe: 'booster', steps: 150 });
const way = (id: Way['id']): Way => WAYS.find((w) => w.id === id)!;
const judgement = { set: 'T', benign: { mean: 1, skills: [] }, quick: true } as unknown as Evaluation;

/** A lab whose runs end at once, with the nodes that were asked for. */
class FakeLab implements MatrixLab {
  nodes: LabNode[] = [chat, booster];
  recipes = recipes;
  started: TrainParams[] = [];
  reopened: string[] = [];
  judged: string[] = [];
  /** Recipe and setting that fails, or that is stopped. */
  fails: (params: TrainParams) => boolean = () => false;
  onStart: () => void = () => {};
  training: MatrixLab['training'];
  evaluations: MatrixLab['evaluations'];

  constructor() {
    const lab = this as FakeLab;
    this.training = {
      runs: [],
      interrupted: [],
      shownId: null,
      start: (params) => Promise.resolve(lab.run(params, `run-${lab.started.length}`)),
      control: () => Promise.resolve(),
      reopen: (id) => {
        lab.reopened.push(id);
        const { head } = lab.training.interrupted.find((r) => r.id === id)!;
        lab.training = { ...lab.training, interrupted: [] };
        return Promise.resolve(
          lab.run(
            { ...head, parentNodeId: head.parentId, seed: head.seeds.attack } as unknown as TrainParams,
            id,
          ),
        );
      },
    };
    this.evaluations = {
      byNode: {},
      open: () => Promise.resolve(),
      run: (id) => {
        lab.judged.push(id);
        lab.evaluations.byNode = { ...lab.evaluations.byNode, [id]: [judgement] };
        return Promise.resolve(judgement);
      },
    };
  }

  run(params: TrainParams, id: string): RunView {
    this.started.push(params);
    this.onStart();
    const failed = this.fails(params);
    const parent = this.nodes.find((n) => n.id === params.parentNodeId)!;
    for (const steps of failed ? [] : params.saveAt!)
      this.nodes = [
        ...this.nodes,
        node(
          `${parent.id}/${params.recipe}${JSON.stringify(params.settings)}/${steps}`,
          params.recipe === 'bft' ? 'benign' : 'attack',
          {
            ...{ parentId: parent.id, recipe: params.recipe, settings: params.settings, steps },
          },
        ),
      ];
    return new RunView(info(params, id, failed ? 'failed' : 'finished'));
  }
}

const info = (params: TrainParams, id: string, state: RunInfo['state']): RunInfo =>
  ({
    ...{ id, state, parentId: params.parentNodeId, recipe: params.recipe, settings: params.settings },
    ...{
      seeds: { world: 0, defence: 1, attack: params.seed },
      saveAt: params.saveAt ?? [],
      total: 100,
      log: [],
      probes: [],
    },
    continuable: true,
  }) as unknown as RunInfo;

const started = (lab: FakeLab): [string, string, Settings[string] | undefined][] =>
  lab.started.map((p) => [p.parentNodeId.split('/')[0]!, p.recipe, p.settings.prefixOnly]);

describe('what is missing', () => {
  const source = (nodes: LabNode[], judged = true) => ({ nodes, recipes, judged: () => judged });

  it('is every amount of every chosen attack on every chosen model, rivals among them', () => {
    expect(matrixModels([chat, booster, node('a', 'attack'), node('own', 'base', { root: null })])).toEqual([
      chat,
      booster,
    ]);
    const tasks = matrixTasks(source([chat, booster]), [chat, booster], [way('mft'), way('mft-lora')]);
    expect(tasks.map((t) => [t.model.id, t.way.id, t.steps])).toEqual([
      ['chat', 'mft', [20, 50, 100]],
      ['chat', 'mft-lora', [20, 50, 100]],
      ['booster', 'mft', [20, 50, 100]],
      ['booster', 'mft-lora', [20, 50, 100]],
    ]);
  });

  it('of an attack after harmless training is that training first', () => {
    const tasks = matrixTasks(source([chat]), [chat], [way('bft-then-mft')]);
    expect(tasks.map((t) => [t.way.id, t.parent?.id ?? null])).toEqual([
      ['bft', 'chat'],
      ['bft-then-mft', null],
    ]);
  });
});

describe('the queue', () => {
  it('runs and judges all of it, one after the other, and then nothing again', async () => {
    const lab = new FakeLab();
    const queue = new MatrixQueue(lab);
    const ways = [way('mft'), way('mft-prefix'), way('bft-then-mft')];
    const told: (number | null)[] = [];
    lab.onStart = () => told.push(queue.work!.secondsLeft === null ? null : queue.work!.done);
    await queue.run(['chat', 'booster'], ways);
    expect(started(lab)).toEqual(
      ['chat', 'booster'].flatMap((id) => [
        [id, 'mft', false],
        [id, 'mft', true],
        [id, 'bft', undefined],
        [id, 'mft', false],
      ]),
    );
    expect(lab.started.every((p) => p.probeEvery === 0 && p.seed === 1)).toBe(true);
    // an attack after harmless training starts from what that left
    expect(lab.started[3]!.parentNodeId).toMatch(/^chat\/bft/);
    // both models, and of each 3 + 3 + 1 + 3 checkpoints
    expect(new Set(lab.judged).size).toBe(lab.judged.length);
    expect(lab.judged).toHaveLength(22);
    // the first has nothing to go by; then the time left is told
    expect(told).toEqual([null, 1, 2, 3, 4, 5, 6, 7]);
    expect([queue.work, queue.failed]).toEqual([null, []]);
    const before = lab.started.length;
    await queue.run(['chat', 'booster'], ways);
    expect(lab.started).toHaveLength(before);
  });

  it('leaves out what fails, names it, and goes on', async () => {
    const lab = new FakeLab();
    lab.fails = (p) => p.recipe === 'bft';
    const queue = new MatrixQueue(lab);
    await queue.run(['chat'], [way('bft-then-mft'), way('mft-prefix')]);
    expect(queue.failed.map((t) => t.key)).toEqual(['chat bft']);
    expect(started(lab)).toEqual([
      ['chat', 'mft', true],
      ['chat', 'bft', undefined],
    ]);
  });

  it('stops, and started again goes on with what is left', async () => {
    const lab = new FakeLab();
    const queue = new MatrixQueue(lab);
    lab.onStart = () => {
      if (lab.started.length === 2) queue.stop();
    };
    await queue.run(['chat', 'booster'], [way('mft'), way('mft-prefix')]);
    expect(lab.started).toHaveLength(2);
    expect(queue.work).toBe(null);
    lab.onStart = () => {};
    // another page: nothing but the tree is left of the first one
    const second = new MatrixQueue(lab);
    await second.run(['chat', 'booster'], [way('mft'), way('mft-prefix')]);
    expect(started(lab)).toHaveLength(4);
    expect(second.tasks([chat, booster], [way('mft'), way('mft-prefix')])).toEqual([]);
  });

  it('takes up the run that a closed tab left', async () => {
    const lab = new FakeLab();
    const [task] = new MatrixQueue(lab).tasks([chat], [way('mft')]);
    const left = new RunView(
      info(
        {
          parentNodeId: 'chat',
          recipe: 'mft',
          settings: task!.series.settings,
          seed: 1,
          saveAt: [20, 50, 100],
        },
        'left',
        'stopped',
      ),
    );
    expect(isRunOf(left, task!.series, 'chat')).toBe(true);
    lab.training = { ...lab.training, interrupted: [left] };
    await new MatrixQueue(lab).run(['chat'], [way('mft')]);
    expect(lab.reopened).toEqual(['left']);
    expect(lab.started).toHaveLength(1);
  });
});
