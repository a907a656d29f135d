/** Gradient conflict and landscapes of checkpoints, computed on a copy of their weights; kept with the node. */
import {
  LOOK_PROMPTS,
  type About,
  type ConflictTable,
  type Landscape,
  type Look,
  type ModelConflict,
} from '../core/insights.ts';
import { parseLlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import type { KernelTable } from '../core/kernel-table.ts';
import type { Tensors } from '../core/types.ts';
import { tinyTask } from '../data/tiny-task.ts';
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
import { partsOf, relativeChanges } from '../insights/param-ops.ts';
import { ENGINE_VERSION, PROTOCOL_HASH, type Context } from './context.ts';
import { PRIORITY } from './gate.ts';
import { KeptInsights } from './kept-insights.ts';
import { LookBench } from './look-bench.ts';
import type { Models } from './models.ts';
import type { LabNode } from './protocol.ts';
import type {
  ConflictOrder,
  InsightDocument,
  InsightProgress,
  LandscapeOrder,
  StoredInsight,
} from './protocol/insights.ts';

type Emit = (progress: InsightProgress) => void;

export class Insights {
  #ctx: Context;
  #models: Models;
  readonly kept: KeptInsights;

  constructor(ctx: Context, models: Models) {
    this.#ctx = ctx;
    this.#models = models;
    this.kept = new KeptInsights(ctx);
  }

  /**
   * One insight of each checkpoint, in the order of the checkpoints. Those that were asked for and have not come are stored as begun:
   * whoever comes back finds what is still to be computed.
   * @throws LabError 'bad-input' where the checkpoints are not of one world and one shape
   */
  async conflict(order: ConflictOrder, emit: Emit, signal: AbortSignal): Promise<StoredInsight[]> {
    const nodes = await Promise.all(order.nodeIds.map((id) => this.#ctx.node(id)));
    const [first] = nodes;
    if (!first) throw nothingChosen();
    this.#requireAlike(nodes);
    const world = this.#ctx.world(first.seeds.world);
    const data = conflictBatches(tinyTask(world), order.seed, order);
    const steps = 2 * order.batches;
    const begun = Date.now();
    const insightOf = (node: LabNode, models: ConflictTable['models'], done: number) => ({
      nodeId: node.id,
      nodeIds: [node.id],
      order: JSON.stringify({ ...order, nodeIds: [node.id] } satisfies ConflictOrder),
      document: { ...this.#emptyConflict(node, order, begun), models },
      ...(done < steps && { partial: { done, total: steps, looks: {} } }),
    });
    const found = new Map<LabNode, StoredInsight>();
    for (const node of nodes) {
      const known = await this.kept.done(node.id, insightOf(node, [], 0).order);
      if (known) found.set(node, known);
    }
    const missing = nodes.filter((node) => !found.has(node));
    if (missing.length > 0) {
      for (const node of missing) await this.kept.keep(insightOf(node, [], 0));
      const { gate, gpu } = this.#ctx;
      const config = parseLlamaConfig(first.modelConfig);
      const probe = await GradientProbe.open(gpu, config, await this.#tensors(first));
      const total = missing.length * steps;
      try {
        for (const [i, node] of missing.entries()) {
          const weights = probe.flatten(await this.#tensors(node));
          const model = await measureConflict(
            await this.#named(node),
            probe.layout,
            data,
            (batch) => gate.run(PRIORITY.evaluation, () => probe.gradient(weights, batch), signal),
            { seed: order.seed, onBatch: (done) => emit({ done: i * steps + done, total }) },
          );
          found.set(node, await this.kept.keep(insightOf(node, [model], steps)));
          emit({ done: (i + 1) * steps, total, soFar: together(nodes, found) });
        }
      } finally {
        probe.destroy();
      }
    }
    return nodes.map((node) => found.get(node)!);
  }

  /**
   * Every look is stored when it was taken: what was stopped, failed or lost its tab goes on behind the last one, with the kernels that
   * it was begun with.
   * @throws LabError 'bad-input' where no attack made the checkpoint of another one
   */
  async landscape(order: LandscapeOrder, emit: Emit, signal: AbortSignal): Promise<StoredInsight> {
    const node = await this.#ctx.node(order.nodeId);
    if (node.kind !== 'attack' || node.parentId === null) throw noLine(node);
    const parent = await this.#ctx.node(node.parentId);
    this.#requireAlike([parent, node]);
    const asked = JSON.stringify(order);
    const known = await this.kept.done(node.id, asked);
    if (known) return known;
    const line = Array.from({ length: 2 * order.perUnit + 1 }, (_, i) => -0.5 + i / order.perUnit);
    const ts = evenly(order.radius, order.side);
    const total = line.length + order.directions * ts.length;
    const before = await this.kept.begun(node.id, asked);
    const looks = { ...before?.partial?.looks };
    const gpu = before ? this.#ctx.gpu.with(before.document.about.kernels) : this.#ctx.gpu;
    const begun = Date.now();
    const about = (): About => this.#about(node, begun, gpu.table);
    const start = await this.#tensors(parent);
    const bench = await LookBench.open(
      { ctx: this.#ctx, gpu, signal },
      {
        node: parent,
        tensors: start,
        world: this.#ctx.world(node.seeds.world),
        prompts: order.prompts ?? LOOK_PROMPTS,
      },
    );
    const [from, to] = [bench.flatten(start), bench.flatten(await this.#tensors(node))];
    const { layout } = bench;
    const document = emptyLandscape(about(), node, await this.#line(parent), order);
    const model = document.models[0]!;
    model.distance = relativeChanges(partsOf(layout), from, to).at(-1)!;
    let done = 0;
    const keep = (): Promise<StoredInsight> =>
      this.kept.keep({
        nodeId: node.id,
        nodeIds: [parent.id, node.id],
        order: asked,
        document: { ...document, about: about() },
        ...(done < total && { partial: { done, total, looks } }),
      });
    let own: Look | null = null;
    const look: LookAt = async (weights, ...name) => {
      const point = name.join(' ');
      // The parent's own weights are one point, whichever line runs through them.
      const at = name.at(-1) as number;
      const taken = looks[point] ?? (at === 0 && own);
      const found = taken || (await bench.look(weights));
      if (at === 0) own = found;
      if (name[0] === 'line') model.line.push({ t: at, look: found });
      done++;
      if (!looks[point]) {
        looks[point] = found;
        if (done < total) await keep().catch(unlessGone);
      }
      emit({ done, total, ...(name[0] === 'line' && { soFar: document }) });
      return found;
    };
    try {
      await lookAlongLine(from, to, line, look);
      for (let seed = 1; seed <= order.directions; seed++) {
        model.directions.push({ seed, points: await lookAlongDirection(layout, from, seed, ts, look) });
        model.spread = spreadOf(model.directions);
        model.visage = visage(model.directions);
        emit({ done, total, soFar: { ...document, about: about() } });
      }
    } finally {
      bench.destroy();
    }
    return keep();
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

  #about({ seeds }: LabNode, begun: number, kernels: KernelTable): About {
    return {
      createdAt: new Date().toISOString(),
      command: '',
      worldSeed: seeds.world,
      seeds: { defence: seeds.defence, attack: seeds.attack },
      adapter: this.#ctx.adapterName(),
      kernels,
      code: ENGINE_VERSION,
      protocol: PROTOCOL_HASH,
      weights: {},
      seconds: Math.round((Date.now() - begun) / 1000),
    };
  }

  #emptyConflict(node: LabNode, { batches, rows, seed }: ConflictOrder, begun: number): ConflictTable {
    return {
      kind: 'gradient conflict',
      version: 1,
      about: this.#about(node, begun, this.#ctx.gpu.table),
      batches,
      rows,
      deals: DEALS,
      data: { attack: 'mft', benign: 'bft', seed },
      models: [],
    };
  }
}

/** What came of several checkpoints, as one document. */
function together(nodes: readonly LabNode[], found: ReadonlyMap<LabNode, StoredInsight>): InsightDocument {
  const documents = nodes.flatMap((node) => found.get(node)?.document ?? []) as ConflictTable[];
  return { ...documents.at(-1)!, models: documents.flatMap((d) => d.models) };
}

function emptyLandscape(about: About, node: LabNode, parent: string, order: LandscapeOrder): Landscape {
  return {
    kind: 'safety landscape',
    version: 1,
    about,
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

/** A look that cannot be kept has to be taken again, and is no reason to stop. */
function unlessGone(error: unknown): void {
  if (error instanceof LabError && error.code === 'not-found') throw error;
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
