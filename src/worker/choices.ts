/** Multiple choice on an imported set, by any model that has a tokenizer of its own; kept with the node, and not taken twice. */
import { LabError } from '../core/errors.ts';
import { questionOf } from '../data/questions.ts';
import { multipleChoice, type TextCodec } from '../eval/measures/multiple-choice.ts';
import { TokenLosses } from '../model/token-losses.ts';
import { PROTOCOL_HASH, type Context } from './context.ts';
import type { DataSets } from './data.ts';
import { byTurns } from './evaluation.ts';
import { PRIORITY } from './gate.ts';
import type { Models } from './models.ts';
import { MEASURES_VERSION, type ChoiceOrder, type Chosen, type LabNode } from './protocol.ts';

/** Tokens of a question with its examples, at most. */
const ROOM = 1024;

export class Choices {
  #ctx: Context;
  #models: Models;
  #data: DataSets;

  constructor(ctx: Context, models: Models, data: DataSets) {
    this.#ctx = ctx;
    this.#models = models;
    this.#data = data;
  }

  /** @throws LabError where the set holds no choices, none of them fits, or the model speaks only the words of the tiny world */
  async choose(
    { nodeId, datasetId, shots, most, seed }: ChoiceOrder,
    emit: (progress: { done: number; total: number }) => void,
    signal: AbortSignal,
  ): Promise<Chosen> {
    const node = await this.#ctx.node(nodeId);
    const codec = await this.#codec(node);
    const dataset = (await this.#data.list()).find((d) => d.id === datasetId);
    if (!dataset)
      throw new LabError('not-found', 'This data set is no longer kept here.', {
        next: 'Import its file again, in Data.',
      });
    const about = { dataset: { id: dataset.id, name: dataset.name, sha256: dataset.sha256 }, most, seed };
    const known = (await this.#of(nodeId)).find(
      (c) =>
        c.version === MEASURES_VERSION &&
        c.dataset.id === datasetId &&
        c.shots.asked === shots &&
        c.most === most &&
        c.seed === seed,
    );
    if (known) return known;
    const begun = Date.now();
    const rows = await this.#data.rows(datasetId, 0, Infinity);
    const questions = rows.flatMap((row) => questionOf(row) ?? []);
    const { gate, gpu, store } = this.#ctx;
    const { items: _, ...result } = await this.#models.use(node, async ({ generator }) => {
      const positions = Math.min(ROOM, generator.cap.maxLen);
      const losses = await gpu.allocate(() => new TokenLosses(generator.model, positions));
      try {
        const scorer = {
          cap: losses.cap,
          evaluate: (batch: Parameters<typeof losses.evaluate>[0]) =>
            gate.run(PRIORITY.evaluation, () => losses.evaluate(batch), signal),
        };
        return await multipleChoice(scorer, byTurns(this.#ctx, generator, signal), codec, questions, {
          shots,
          most,
          seed,
          positions,
          signal,
          onProgress: (done, total) => emit({ done, total }),
        });
      } finally {
        losses.destroy();
      }
    });
    const chosen: Chosen = {
      kind: 'chosen',
      nodeId,
      version: MEASURES_VERSION,
      ...about,
      ...result,
      protocol: PROTOCOL_HASH,
      adapter: this.#ctx.adapterName(),
      seconds: (Date.now() - begun) / 1000,
      createdAt: Date.now(),
    };
    await store.addEvaluation(chosen, (n: LabNode) => n);
    return chosen;
  }

  async all(): Promise<Chosen[]> {
    const nodes = await this.#ctx.store.nodes();
    const lists = await Promise.all(nodes.map((node) => this.#of(node.id)));
    return lists.flat().sort((a, b) => b.createdAt - a.createdAt);
  }

  async #of(nodeId: string): Promise<Chosen[]> {
    const all = await this.#ctx.store.evaluations(nodeId);
    return all.filter((one): one is Chosen => 'kind' in one && one.kind === 'chosen');
  }

  async #codec(node: LabNode): Promise<TextCodec> {
    if (node.root !== null)
      throw new LabError('bad-input', `'${node.name}' knows the words of the tiny world alone.`, {
        safe: 'Nothing was started.',
        next: 'Its own multiple choice stands among the everyday tasks; open a model of your own for imported questions.',
      });
    const { tokenizer } = await this.#models.opened.text(await this.#ctx.rootId(node));
    return {
      encode: (text) => tokenizer.encode(text, { add: true }),
      decode: (ids) => tokenizer.decode(ids),
      ends: tokenizer.ends,
    };
  }
}
