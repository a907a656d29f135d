/**
 * Insights in the store. Each lies with the checkpoint that it is of, and goes with it and with everything that one stands on; what is
 * not done yet lies there as well, so that it survives the tab. What another GPU or another version of the engine computed is
 * never taken for one's own: it stays, names its GPU, and is computed again when it is asked for here.
 */
import { LabError } from '../core/errors.ts';
import { readTable } from '../core/kernel-table.ts';
import { ENGINE_VERSION, type Context } from './context.ts';
import type { LabNode } from './protocol.ts';
import type { InsightDocument, InsightName, StoredInsight } from './protocol/insights.ts';

type Stored = Awaited<ReturnType<Context['store']['evaluations']>>[number];

const isInsight = (one: Stored): one is StoredInsight => 'kind' in one && one.kind === 'insight';

export class KeptInsights {
  #ctx: Context;

  constructor(ctx: Context) {
    this.#ctx = ctx;
  }

  /**
   * Newest first.
   * @param nodeId those that speak of this checkpoint, whichever they lie with; default: of all
   */
  async all(nodeId?: string): Promise<StoredInsight[]> {
    // what speaks of a checkpoint lies with it or with one that was made of it
    const near = (n: LabNode): boolean => nodeId === undefined || n.id === nodeId || n.parentId === nodeId;
    const nodes = (await this.#ctx.store.nodes()).filter(near);
    const lists = await Promise.all(nodes.map((node) => this.#of(node.id)));
    return lists
      .flat()
      .filter((one) => nodeId === undefined || speaksOf(one).includes(nodeId))
      .sort((a, b) => b.createdAt - a.createdAt);
  }

  /** Done, by this engine on this GPU. */
  async done(nodeId: string, order: string): Promise<StoredInsight | undefined> {
    return (await this.#own(nodeId, order)).find(({ partial }) => !partial);
  }

  /** Begun by this engine on this GPU, with kernels that it can go on with. */
  async begun(nodeId: string, order: string): Promise<StoredInsight | undefined> {
    const lanes = this.#ctx.gpu.table.subgroupSize;
    return (await this.#own(nodeId, order)).find(
      ({ partial, document }) => partial && readTable(document.about.kernels, lanes) !== null,
    );
  }

  /**
   * Stores it in the place of what was begun of the same order here, and of what holds no figure yet.
   * @throws LabError 'not-found' where its checkpoint was deleted meanwhile
   */
  async keep(insight: Omit<StoredInsight, 'kind' | 'createdAt'>): Promise<StoredInsight> {
    const stored: StoredInsight = { kind: 'insight', ...insight, createdAt: Date.now() };
    const begun = (one: Stored): boolean =>
      isInsight(one) &&
      one.order === insight.order &&
      one.partial !== undefined &&
      (one.partial.done === 0 || this.#mine(one.document));
    if (!(await this.#ctx.store.addEvaluation(stored, undefined, begun))) throw gone();
    return stored;
  }

  /** Deletes one; answers those that are left. */
  async remove({ nodeId, order, createdAt }: InsightName): Promise<StoredInsight[]> {
    await this.#ctx.store.dropEvaluations(
      nodeId,
      (one) => isInsight(one) && one.order === order && one.createdAt === createdAt,
    );
    return this.all();
  }

  async #of(nodeId: string): Promise<StoredInsight[]> {
    return (await this.#ctx.store.evaluations(nodeId)).filter(isInsight);
  }

  async #own(nodeId: string, order: string): Promise<StoredInsight[]> {
    return (await this.#of(nodeId)).filter((one) => one.order === order && this.#mine(one.document));
  }

  #mine({ about }: InsightDocument): boolean {
    return about.code === ENGINE_VERSION && about.adapter === this.#ctx.adapterName();
  }
}

/** Older ones name no more than the checkpoint that they lie with. */
const speaksOf = ({ nodeId, nodeIds = [nodeId] }: StoredInsight): readonly string[] => nodeIds;

function gone(): LabError {
  return new LabError('not-found', 'The checkpoint that this is about was deleted meanwhile.', {
    safe: 'All other checkpoints are untouched.',
    next: 'Choose another one.',
  });
}
