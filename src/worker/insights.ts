/** Gradient conflict and landscapes of checkpoints, computed on a copy of their weights; kept with the node. */
import {
  LOOK_PROMPTS,
  type LookPrompts,
  type About,
  type ConflictTable,
  type ModelConflict,
  type Landscape,
  type Look,
} from '../core/insights.ts';
import { parseLlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import type { Tensors } from '../core/types.ts';
import { tinyTask } from '../data/tiny-task.ts';
import { evaluateModel, MAX_LENGTH } from '../eval/evaluate.ts';
import { conflictBatches, DEALS, measureConflict } from '../insights/conflict.ts';
import { GradientProbe } from '../insights/gradients.ts';
import {
  evenly,
  lookAlongDirection,
  lookAlongLine,
  spreadOf,
  visage,
  type LookAt,
} from '../insights/landscape.ts';
import { lookOf } from '../insights/look.ts';
import { partsOf, relativeChanges } from '../insights/param-ops.ts';
import { Generator } from '../model/generate.ts';
import { Model } from '../model/model.ts';
import type { ParamLayout } from '../model/params.ts';
import { TokenLosses } from '../model/token-losses.ts';
import type { World } from '../world/world.ts';
import { ENGINE_VERSION, PROTOCOL_HASH, type Context } from './context.ts';
import { byTurns } from './evaluation.ts';
import { PRIORITY } from './gate.ts';
import type { Models } from './models.ts';
import type { LabNode } from './protocol.ts';
import type {
  ConflictOrder,
  InsightDocument,
  InsightProgress,
  LandscapeOrder,
  StoredInsight,
} from './protocol/insights.ts';

/** Prompts answered at once, and tokens of a scoring pass. */
const SEQS = 96;
const PASS_TOKENS = 1024;

type Emit = (progress: InsightProgress) => void;

export class Insights {
  #ctx: Context;
  #models: Models;

  constructor(ctx: Context, models: Models) {
    this.#ctx = ctx;
    this.#models = models;
  }

  /** @throws LabError 'bad-input' where the checkpoints are not of one world and one shape */
  async conflict(order: ConflictOrder, emit: Emit, signal: AbortSignal): Promise<StoredInsight> {
    const nodes = await Promise.all(order.nodeIds.map((id) => this.#ctx.node(id)));
    const [first] = nodes;
    if (!first) throw nothingChosen();
    this.#requireAlike(nodes);
    const known = await this.#known(first.id, order);
    if (known) return known;
    const begun = Date.now();
    const world = this.#ctx.world(first.seeds.world);
    const data = conflictBatches(tinyTask(world), order.seed, order);
    const { gate, gpu } = this.#ctx;
    const config = parseLlamaConfig(first.modelConfig);
    const total = nodes.length * 2 * order.batches;
    const probe = await GradientProbe.open(gpu, config, await this.#tensors(first));
    const models: ConflictTable['models'] = [];
    const document = (): ConflictTable => ({
      kind: 'gradient conflict',
      version: 1,
      about: this.#about(first, begun),
      batches: order.batches,
      rows: order.rows,
      deals: DEALS,
      data: { attack: 'mft', benign: 'bft', seed: order.seed },
      models,
    });
    try {
      for (const [i, node] of nodes.entries()) {
        const weights = probe.flatten(await this.#tensors(node));
        const found = await measureConflict(
          await this.#named(node),
          probe.layout,
          data,
          (batch) => gate.run(PRIORITY.evaluation, () => probe.gradient(weights, batch), signal),
          {
            seed: order.seed,
            onBatch: (done) => emit({ done: i * 2 * order.batches + done, total }),
          },
        );
        models.push(found);
        emit({ done: (i + 1) * 2 * order.batches, total, soFar: document() });
      }
    } finally {
      probe.destroy();
    }
    return this.#keep(first.id, order, document());
  }

  /** @throws LabError 'bad-input' where no attack made the checkpoint of another one */
  async landscape(order: LandscapeOrder, emit: Emit, signal: AbortSignal): Promise<StoredInsight> {
    const node = await this.#ctx.node(order.nodeId);
    if (node.kind !== 'attack' || node.parentId === null) throw noLine(node);
    const parent = await this.#ctx.node(node.parentId);
    this.#requireAlike([parent, node]);
    const known = await this.#known(node.id, order);
    if (known) return known;
    const begun = Date.now();
    const world = this.#ctx.world(node.seeds.world);
    const start = await this.#tensors(parent);
    const bench = await LookBench.open(
      this.#ctx,
      { node: parent, tensors: start, world, prompts: order.prompts ?? LOOK_PROMPTS },
      signal,
    );
    const [from, to] = [bench.flatten(start), bench.flatten(await this.#tensors(node))];
    const line = Array.from({ length: 2 * order.perUnit + 1 }, (_, i) => -0.5 + i / order.perUnit);
    const ts = evenly(order.radius, order.side);
    const total = line.length + order.directions * ts.length;
    let done = 0;
    let document = this.#emptyLandscape(node, await this.#line(parent), order, begun);
    const [model] = document.models;
    const { layout } = bench;
    model!.distance = relativeChanges(partsOf(layout), from, to).at(-1)!;
    let own: Look | null = null;
    const look: LookAt = async (weights, ...name) => {
      // The parent's own weights are one point, whichever line runs through them.
      const at = name.at(-1) as number;
      const found = at === 0 && own ? own : await bench.look(weights);
      if (at === 0) own = found;
      if (name[0] === 'line') model!.line.push({ t: at, look: found });
      emit({ done: ++done, total, ...(name[0] === 'line' && { soFar: document }) });
      return found;
    };
    try {
      await lookAlongLine(from, to, line, look);
      for (let seed = 1; seed <= order.directions; seed++) {
        model!.directions.push({ seed, points: await lookAlongDirection(layout, from, seed, ts, look) });
        model!.spread = spreadOf(model!.directions);
        model!.visage = visage(model!.directions);
        document = { ...document, about: this.#about(node, begun) };
        emit({ done, total, soFar: document });
      }
    } finally {
      bench.destroy();
    }
    return this.#keep(node.id, order, document);
  }

  /** Of all checkpoints, newest first. */
  async all(): Promise<StoredInsight[]> {
    const nodes = await this.#ctx.store.nodes();
    const lists = await Promise.all(nodes.map((node) => this.#of(node.id)));
    return lists.flat().sort((a, b) => b.createdAt - a.createdAt);
  }

  async #of(nodeId: string): Promise<StoredInsight[]> {
    const all = await this.#ctx.store.evaluations(nodeId);
    return all.filter((one): one is StoredInsight => 'kind' in one && one.kind === 'insight');
  }

  /** What another version of the engine computed is computed again. */
  async #known(nodeId: string, order: unknown): Promise<StoredInsight | undefined> {
    return (await this.#of(nodeId)).find(
      ({ order: own, document }) => own === JSON.stringify(order) && document.about.code === ENGINE_VERSION,
    );
  }

  async #keep(nodeId: string, order: unknown, document: InsightDocument): Promise<StoredInsight> {
    const stored: StoredInsight = {
      kind: 'insight',
      nodeId,
      order: JSON.stringify(order),
      document,
      createdAt: Date.now(),
    };
    await this.#ctx.store.addEvaluation(stored, (n: LabNode) => n);
    return stored;
  }

  /** Names repeat in the tree: the line of descent, and how it was attacked, tell two checkpoints apart. */
  async #named(node: LabNode): Promise<Pick<ModelConflict, 'model' | 'after' | 'attack'>> {
    if (node.kind !== 'attack' || node.parentId === null) return { model: await this.#line(node), after: 0 };
    const { recipe, settings, seeds, steps } = node;
    const attack = `${recipe ?? ''}, lr ${String(settings.lr)}, seed ${seeds.attack}`;
    return { model: await this.#line(await this.#ctx.node(node.parentId)), after: steps, attack };
  }

  async #line({ name, parentId }: LabNode): Promise<string> {
    return parentId === null ? name : `${await this.#line(await this.#ctx.node(parentId))} › ${name}`;
  }

  async #tensors(node: LabNode): Promise<Tensors> {
    return this.#models.whole(await this.#models.read(node));
  }

  #requireAlike(nodes: readonly LabNode[]): void {
    const [first] = nodes as [LabNode];
    const opened = nodes.find((n) => n.root === null);
    if (opened)
      throw new LabError(
        'bad-input',
        `'${opened.name}' was opened, and these insights need the tiny world.`,
        {
          safe: 'Nothing was started.',
          next: 'Choose checkpoints of the tiny world: their answers can be judged exactly.',
        },
      );
    const other = nodes.find(
      (n) =>
        n.seeds.world !== first.seeds.world ||
        JSON.stringify(n.modelConfig) !== JSON.stringify(first.modelConfig),
    );
    if (other)
      throw new LabError(
        'bad-input',
        `'${first.name}' and '${other.name}' are not of one world and one shape: their gradients and weights cannot be laid side by side.`,
        { safe: 'Nothing was started.', next: 'Choose checkpoints that come from the same model.' },
      );
  }

  #about({ seeds }: LabNode, begun: number): About {
    return {
      createdAt: new Date().toISOString(),
      command: '',
      worldSeed: seeds.world,
      seeds: { defence: seeds.defence, attack: seeds.attack },
      adapter: this.#ctx.adapterName(),
      kernels: this.#ctx.gpu.table,
      code: ENGINE_VERSION,
      protocol: PROTOCOL_HASH,
      weights: {},
      seconds: Math.round((Date.now() - begun) / 1000),
    };
  }

  #emptyLandscape(node: LabNode, parent: string, order: LandscapeOrder, begun: number): Landscape {
    return {
      kind: 'safety landscape',
      version: 1,
      about: this.#about(node, begun),
      prompts: order.prompts ?? LOOK_PROMPTS,
      attack: { recipe: node.recipe ?? '', settings: { ...node.settings, steps: node.steps } },
      radius: order.radius,
      models: [
        {
          model: parent,
          distance: 0,
          line: [],
          directions: [],
          spread: [],
          visage: { strict: null, broad: null, notRefused: null, ability: 0, byDirection: [] },
        },
      ],
    };
  }
}

/** Whose surroundings are looked at. */
interface Looked {
  node: LabNode;
  tensors: Tensors;
  world: World;
  prompts: LookPrompts;
}

/** A model of its own that takes on any weights of its shape and is looked at. */
class LookBench {
  readonly #ctx: Context;
  readonly #world: World;
  readonly #prompts: LookPrompts;
  readonly #model: Model;
  readonly #generator: Generator;
  readonly #losses: TokenLosses;
  readonly #signal: AbortSignal;

  private constructor(ctx: Context, { node, tensors, world, prompts }: Looked, signal: AbortSignal) {
    const config = parseLlamaConfig(node.modelConfig);
    this.#ctx = ctx;
    this.#world = world;
    this.#prompts = prompts;
    this.#signal = signal;
    this.#model = Model.create(ctx.gpu, config, tensors);
    this.#generator = new Generator(this.#model, { maxSeqs: SEQS, maxLen: MAX_LENGTH });
    this.#losses = new TokenLosses(this.#model, PASS_TOKENS);
  }

  static open(ctx: Context, looked: Looked, signal: AbortSignal): Promise<LookBench> {
    return ctx.gpu.allocate(() => new LookBench(ctx, looked, signal));
  }

  /** Weights in the layout that `look` takes. */
  flatten(tensors: Tensors): Float32Array {
    return this.#model.params.flatten(tensors);
  }

  get layout(): ParamLayout {
    return this.#model.params.layout;
  }

  async look(weights: Float32Array): Promise<Look> {
    const { gate } = this.#ctx;
    const signal = this.#signal;
    this.#model.params.write(weights);
    return lookOf(
      await evaluateModel(byTurns(this.#ctx, this.#generator, signal), this.#world, {
        sets: ['T'],
        benign: true,
        limit: this.#prompts,
        signal,
        scorer: {
          cap: this.#losses.cap,
          evaluate: (batch) => gate.run(PRIORITY.evaluation, () => this.#losses.evaluate(batch), signal),
          logits: (batch) => gate.run(PRIORITY.evaluation, () => this.#losses.logits(batch), signal),
        },
      }),
    );
  }

  destroy(): void {
    this.#losses.destroy();
    this.#generator.destroy();
    this.#model.destroy();
  }
}

function nothingChosen(): LabError {
  return new LabError('bad-input', 'No checkpoint was chosen.', { next: 'Choose at least one.' });
}

function noLine({ name }: LabNode): LabError {
  return new LabError('bad-input', `'${name}' was not made by an attack: there is no line to it.`, {
    safe: 'Nothing was started.',
    next: 'Attack it, and choose what the attack made of it.',
  });
}
