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
import { MEASURES_VERSION, WORK, type EvalSet, type LabNode, type Measured } from './protocol.ts';
import { Work } from './unfinished.ts';

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
    const same = (m: Measured): boolean =>
      m.split === split && m.facts === facts && m.version === MEASURES_VERSION;
    const known = (await this.list(nodeId)).find(same);
    if (known?.battery) return known;
    const begun = Date.now();
    const world = this.#ctx.world(node.seeds.world);
    const rootId = await this.#ctx.rootId(node);
    const references = await this.#referencesOf(node, rootId);
    const weights = await this.#models.whole(await this.#models.read(node));
    const work = await Work.open(this.#ctx, nodeId, WORK.measure(split, facts));
    const keep = async (found: Pick<Measured, 'battery' | 'letters' | 'perplexity'>): Promise<Measured> => {
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
      const replaced = (one: Parameters<typeof work.own>[0]): boolean =>
        'kind' in one && one.kind === 'measured' && one.battery === null && same(one);
      await this.#ctx.store.addEvaluation(
        measured,
        undefined,
        (one) => replaced(one) || (found.battery !== null && work.own(one)),
      );
      return measured;
    };
    return work.run(() =>
      this.#models.use(node, (resident) =>
        this.#scoring(resident, signal, async (scorer) => {
          // what needs no answers comes first: it is quick, and stands by itself
          const scored = known ?? {
            letters: await letterScores(scorer, evalBenign(world, EVAL_SEED)),
            perplexity: (await perplexity(scorer, heldOutText(world))).perplexity,
          };
          const { letters, perplexity: benign } = scored;
          if (!known) await keep({ letters, perplexity: benign, battery: null });
          const generator = work.answers(byTurns(this.#ctx, resident.generator, signal));
          const battery = await measureBattery({ generator, scorer, weights }, references, world, {
            split,
            ...(facts !== null && { facts }),
            signal,
            onProgress: work.progress(emit),
          });
          return keep({ letters, perplexity: benign, battery });
        }),
      ),
    );
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
