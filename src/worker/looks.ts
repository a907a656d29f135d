/** Looks at what opened models answer to held-out prompts: rules count, nobody judges. */
import { parseLlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import { scoreHeldOut, type HeldOutScore, type TaskScores } from '../eval/held-out.ts';
import type { Context } from './context.ts';
import { byTurns } from './evaluation.ts';
import { generatorCap } from './memory.ts';
import type { Models } from './models.ts';
import type { Look, NodeLook, PromptsRef, RuleCounts } from './protocol.ts';
import type { Tasks } from './tasks.ts';

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
    const scores = await this.#models.use(node, ({ generator }) =>
      scoreHeldOut(byTurns(this.#ctx, generator, signal), null, task, {
        maxNewTokens: ANSWER_TOKENS,
        ...(most !== null && { limit: most }),
        onProgress: (done, total) => emit({ done, total }),
      }),
    );
    return this.keep(nodeId, await this.#named(prompts), scores, null);
  }

  async list(nodeId: string): Promise<Look[]> {
    const all = await this.#ctx.store.evaluations(nodeId);
    return all.filter((one): one is Look => 'elsewhere' in one);
  }

  async #named(id: string): Promise<PromptsRef> {
    return { id, name: (await this.#ctx.store.prompts(id))?.name ?? '' };
  }

  /** Stores a look; a node goes on showing the one that asked more. */
  async keep(
    nodeId: string,
    prompts: PromptsRef,
    { harmful, benign }: TaskScores,
    elsewhere: string | null,
  ): Promise<Look> {
    const shown: NodeLook = { prompts, harmful: counts(harmful), benign: counts(benign), elsewhere };
    const look: Look = {
      ...shown,
      nodeId,
      answers: { harmful: harmful.answers, benign: benign.answers },
      createdAt: Date.now(),
    };
    const node = await this.#ctx.store.addEvaluation(look, (old) => {
      const before = old.looks?.[prompts.id];
      const less = before && before.harmful.n + before.benign.n > shown.harmful.n + shown.benign.n;
      return less ? old : { ...old, looks: { ...old.looks, [prompts.id]: shown } };
    });
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
