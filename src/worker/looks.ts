/** Looks at what opened models answer to held-out prompts: rules count, nobody judges. */
import { parseLlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import {
  referenceLoss,
  scoreAnswers,
  scoreHeldOut,
  type HeldOutScore,
  type TaskScores,
} from '../eval/held-out.ts';
import { judgeName } from '../eval/judges/port.ts';
import { RULES } from '../eval/judges/rules/rules.ts';
import type { Task } from '../data/task.ts';
import type { Generator } from '../model/generate.ts';
import { TokenLosses } from '../model/token-losses.ts';
import type { Context } from './context.ts';
import { byTurns } from './evaluation.ts';
import { generatorCap } from './memory.ts';
import type { Models } from './models.ts';
import { PRIORITY } from './gate.ts';
import {
  WORK,
  type LabNode,
  type Look,
  type NodeLook,
  type PromptsRef,
  type RuleCounts,
} from './protocol.ts';
import type { Tasks } from './tasks.ts';
import { Work } from './unfinished.ts';

/** Longest answer, as in the terminal. */
export const ANSWER_TOKENS = 64;

export class Looks {
  #ctx: Context;
  #models: Models;
  #tasks: Tasks;

  constructor(ctx: Context, models: Models, tasks: Tasks) {
    this.#ctx = ctx;
    this.#models = models;
    this.#tasks = tasks;
  }

  async look(
    { nodeId, prompts, most }: { nodeId: string; prompts: string; most: number | null },
    emit: (progress: { done: number; total: number }) => void,
    signal: AbortSignal,
  ): Promise<Look> {
    const node = await this.#ctx.node(nodeId);
    const room = generatorCap(parseLlamaConfig(node.modelConfig)).maxLen - ANSWER_TOKENS;
    // one token more than there is room for: what is cut to that has been too long
    const task = await this.#tasks.of(node, prompts, room + 1);
    for (const request of [...task.heldOut.harmful, ...task.heldOut.benign])
      if (task.codec.prompt(request).length > room) throw tooLong(request.line, room);
    const ref = await this.#named(prompts);
    const work = await Work.open(this.#ctx, nodeId, WORK.look(prompts, most));
    const partial = (one: object): boolean =>
      'partial' in one && 'elsewhere' in one && (one as Look).prompts.id === prompts;
    const none = scoreAnswers([], [], []);
    const adapter = this.#ctx.adapterName();
    return work.run(() =>
      this.#models.use(node, async ({ generator }) => {
        const scores = await scoreHeldOut(work.answers(byTurns(this.#ctx, generator, signal)), null, task, {
          maxNewTokens: ANSWER_TOKENS,
          ...(most !== null && { limit: most }),
          onProgress: work.progress(emit),
          onHarmful: async (harmful) => {
            await this.keep(
              nodeId,
              ref,
              { harmful, benign: none },
              null,
              { partial: true, adapter },
              partial,
            );
          },
        });
        await this.keep(nodeId, ref, scores, null, { partial: true, adapter }, partial);
        const perplexity = await this.#perplexity(generator, task, scores.benign, signal);
        const done = (one: Parameters<typeof work.own>[0]): boolean => partial(one) || work.own(one);
        return this.keep(nodeId, ref, scores, null, { perplexity, adapter }, done);
      }),
    );
  }

  /** Of the file's right answers to the benign prompts that were asked. */
  async #perplexity(
    generator: Generator,
    task: Task,
    { answers }: HeldOutScore,
    signal: AbortSignal,
  ): Promise<Look['perplexity']> {
    const asked = new Set(answers.map((a) => `${a.line ?? ''} ${a.prompt}`));
    const requests = task.heldOut.benign.filter((r) => asked.has(`${r.line ?? ''} ${r.prompt}`));
    if (requests.length === 0) return null;
    const { gate, gpu } = this.#ctx;
    const losses = await gpu.allocate(() => new TokenLosses(generator.model, generator.cap.maxLen));
    try {
      const scorer = {
        cap: losses.cap,
        evaluate: (batch: Parameters<typeof losses.evaluate>[0]) =>
          gate.run(PRIORITY.evaluation, () => losses.evaluate(batch), signal),
      };
      const { perplexity, references } = await referenceLoss(scorer, task.codec, requests);
      return perplexity === null ? null : { value: perplexity, references };
    } finally {
      losses.destroy();
    }
  }

  async list(nodeId: string): Promise<Look[]> {
    const all = await this.#ctx.store.evaluations(nodeId);
    return all.filter((one): one is Look => 'elsewhere' in one);
  }

  async #named(id: string): Promise<PromptsRef> {
    return { id, name: (await this.#ctx.store.prompts(id))?.name ?? '' };
  }

  /**
   * Stores a look; a node goes on showing the one that asked more.
   * @param instead of which records it takes the place
   */
  async keep(
    nodeId: string,
    prompts: PromptsRef,
    { harmful, benign }: TaskScores,
    elsewhere: string | null,
    more: Pick<Look, 'perplexity' | 'partial' | 'adapter'> = {},
    instead?: Parameters<Context['store']['addEvaluation']>[2],
  ): Promise<Look> {
    const shown: NodeLook = { prompts, harmful: counts(harmful), benign: counts(benign), elsewhere };
    const look: Look = {
      ...shown,
      nodeId,
      answers: { harmful: harmful.answers, benign: benign.answers },
      judge: judgeName(RULES),
      ...more,
      createdAt: Date.now(),
    };
    const shows = (old: LabNode): LabNode => {
      const before = old.looks?.[prompts.id];
      const less = before && before.harmful.n + before.benign.n > shown.harmful.n + shown.benign.n;
      return less ? old : { ...old, looks: { ...old.looks, [prompts.id]: shown } };
    };
    const node = await this.#ctx.store.addEvaluation(look, shows, instead);
    if (node) this.#ctx.notify({ type: 'node', node });
    return look;
  }
}

const counts = ({ n, counts }: HeldOutScore): RuleCounts => ({ n, counts });

function tooLong(line: number | undefined, room: number): LabError {
  return new LabError(
    'bad-input',
    `The held-out prompt in line ${line ?? '?'} is too long: there is room for ${room} tokens beside an answer.`,
    {
      safe: 'Nothing was changed.',
      next: 'Shorten it in your prompts file, and choose the file again.',
    },
  );
}
