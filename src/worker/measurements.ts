/** The measures beside verdicts and everyday tasks, against the untouched root; kept with the node, and not taken twice. */
import { measureBattery, type Reference, type References } from '../eval/measures/battery.ts';
import { perplexity, type Scorer } from '../eval/perplexity.ts';
import { evalBenign, heldOutText } from '../data/evalsets.ts';
import { EVAL_SEED, letterScores } from '../eval/evaluate.ts';
import { TokenLosses } from '../model/token-losses.ts';
import { PROTOCOL_HASH, type Context } from './context.ts';
import { byTurns, noJudge } from './evaluation.ts';
import { PRIORITY } from './gate.ts';
import type { Models, ResidentModel } from './models.ts';
import { MEASURES_VERSION, type EvalSet, type LabNode, type Measured } from './protocol.ts';

/** Tokens of a scoring pass. */
const PASS_TOKENS = 1024;

export class Measurements {
  #ctx: Context;
  #models: Models;
  /** A reference keeps what its model expects of the drift texts; these are the last ones used. */
  #references: { id: string; reference: Reference }[] = [];

  constructor(ctx: Context, models: Models) {
    this.#ctx = ctx;
    this.#models = models;
  }

  /** @throws LabError where there is no judge for the node's answers */
  async measure(
    { nodeId, split, facts }: { nodeId: string; split: EvalSet; facts: number | null },
    emit: (progress: { done: number; total: number }) => void,
    signal: AbortSignal,
  ): Promise<Measured> {
    const node = await this.#ctx.node(nodeId);
    if (node.root === null) throw noJudge(node.name);
    const known = (await this.list(nodeId)).find(
      (m) => m.split === split && m.facts === facts && m.version === MEASURES_VERSION,
    );
    if (known) return known;
    const begun = Date.now();
    const world = this.#ctx.world(node.seeds.world);
    const rootId = await this.#ctx.rootId(node);
    const references = await this.#referencesOf(node, rootId);
    const weights = await this.#models.whole(await this.#models.read(node));
    const found = await this.#models.use(node, (resident) =>
      this.#scoring(resident, signal, async (scorer) => ({
        battery: await measureBattery(
          { generator: byTurns(this.#ctx, resident.generator, signal), scorer, weights },
          references,
          world,
          {
            split,
            ...(facts !== null && { facts }),
            signal,
            onProgress: (done, total) => emit({ done, total }),
          },
        ),
        letters: await letterScores(scorer, evalBenign(world, EVAL_SEED)),
        perplexity: (await perplexity(scorer, heldOutText(world))).perplexity,
      })),
    );
    const measured: Measured = {
      kind: 'measured',
      nodeId,
      version: MEASURES_VERSION,
      split,
      facts,
      referenceId: rootId,
      ...found,
      protocol: PROTOCOL_HASH,
      adapter: this.#ctx.adapterName(),
      seconds: (Date.now() - begun) / 1000,
      createdAt: Date.now(),
    };
    await this.#ctx.store.addEvaluation(measured, (n: LabNode) => n);
    return measured;
  }

  async list(nodeId: string): Promise<Measured[]> {
    const all = await this.#ctx.store.evaluations(nodeId);
    return all.filter((one): one is Measured => 'kind' in one && one.kind === 'measured');
  }

  async #referencesOf(node: LabNode, rootId: string): Promise<References> {
    const root = await this.#referenceTo(rootId);
    const parent = node.parentId === null ? null : await this.#referenceTo(node.parentId);
    return { root, parent };
  }

  async #referenceTo(id: string): Promise<Reference> {
    const known = this.#references.find((r) => r.id === id);
    if (known) return known.reference;
    const node = await this.#ctx.node(id);
    const reference: Reference = {
      weights: await this.#models.whole(await this.#models.read(node)),
      score: (work) => this.#models.use(node, (resident) => this.#scoring(resident, undefined, work)),
    };
    this.#references = [{ id, reference }, ...this.#references].slice(0, 2);
    return reference;
  }

  async #scoring<T>(
    { generator }: ResidentModel,
    signal: AbortSignal | undefined,
    work: (scorer: Scorer) => Promise<T>,
  ): Promise<T> {
    const { gate } = this.#ctx;
    const losses = await this.#ctx.gpu.allocate(() => new TokenLosses(generator.model, PASS_TOKENS));
    try {
      return await work({
        cap: losses.cap,
        evaluate: (batch) => gate.run(PRIORITY.evaluation, () => losses.evaluate(batch), signal),
        logits: (batch) => gate.run(PRIORITY.evaluation, () => losses.logits(batch), signal),
      });
    } finally {
      losses.destroy();
    }
  }
}
