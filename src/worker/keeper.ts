/**
 * What a run keeps of its steps for the scrubber. A step that cannot be kept (full disk, a number too large for 16 bits) is missing
 * and said so; the run goes on.
 */
import { keptSteps } from '../core/snapshots.ts';
import { narrowSnapshot } from '../model/snapshot.ts';
import type { Model } from '../model/model.ts';
import { toErrorInfo } from './error-info.ts';
import type { Context } from './context.ts';
import type { Models } from './models.ts';
import type { KeptAttack, RunInfo } from './protocol.ts';
import { flatten, trainedWeights } from './stored-model.ts';

export class Keeper {
  readonly #ctx: Context;
  readonly #models: Models;
  readonly #info: RunInfo;
  /** Steps at which the run halts for a checkpoint or for this; changed in place, since the session looks at this very array. */
  readonly stops: number[] = [];
  #parent: Promise<Float32Array | null> | null = null;

  constructor(ctx: Context, models: Models, info: RunInfo) {
    this.#ctx = ctx;
    this.#models = models;
    this.#info = info;
    this.place();
  }

  /** Decides which steps are still to come, after the run's length or its checkpoints have changed. */
  place(): void {
    const { keep, saveAt, total, step } = this.#info;
    if (keep) {
      const done = keep.at.filter((at) => at <= step);
      const room = keep.limit / keep.each - done.length;
      keep.at = [...done, ...keptSteps({ total, from: step, saved: saveAt, room })];
    }
    const all = new Set([...saveAt, ...(keep?.at ?? [])]);
    this.stops.splice(0, Infinity, ...[...all].sort((a, b) => a - b));
  }

  async take(step: number, model: Model): Promise<void> {
    const { keep, id: runId, parentId } = this.#info;
    if (!keep?.at.includes(step)) return;
    const missed = keep.missed.filter((m) => m.step !== step);
    try {
      const words = narrowSnapshot(await trainedWeights(model), await (this.#parent ??= this.#below(model)));
      const form = model.adapters.length > 0 ? 'adapter' : 'delta';
      await this.#ctx.store.snapshots.add({ runId, step, parentId, form }, words);
      keep.missed = missed;
    } catch (e) {
      keep.missed = [...missed, { step, error: toErrorInfo(e) }];
    }
  }

  /** What the scrubber must know of the run when nothing but its checkpoint is left. */
  async hand(nodeId: string): Promise<void> {
    const { keep, id: runId, probes } = this.#info;
    if (!keep) return;
    const record: KeptAttack = {
      kind: 'kept',
      nodeId,
      runId,
      probes: structuredClone(probes),
      missed: structuredClone(keep.missed),
      createdAt: Date.now(),
    };
    // without it the steps are there all the same, without curves
    await this.#ctx.store.addEvaluation(record, (node) => node).catch(() => {});
  }

  /** The parent's whole weights, in the order of storing; null where an adapter is trained. */
  async #below(model: Model): Promise<Float32Array | null> {
    if (model.adapters.length > 0) return null;
    const stored = await this.#models.read(await this.#ctx.node(this.#info.parentId));
    return flatten(stored.config, await this.#models.whole(stored));
  }
}
