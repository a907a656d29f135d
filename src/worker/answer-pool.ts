/** All answers that some judge may be shown: of every checkpoint to forbidden or harmful prompts, of its latest evaluation and looks. */
import { answerDigest, type PoolItem } from '../eval/judges/person.ts';
import type { Context } from './context.ts';
import type { PromptsRef } from './protocol.ts';

/** An answer with what the rules need to know of who gave it. */
export interface Given extends PoolItem {
  rootId: string;
  /** The prompts file of an opened model; null: the tiny world. */
  prompts: PromptsRef | null;
}

/** Answers that the rules judge together: one root and its descendants, to one kind of question. */
export const groupOf = ({ rootId, prompts }: Given): string => JSON.stringify([rootId, prompts?.id]);

/** @param only of these checkpoints; absent: of all */
export async function answerPool(ctx: Context, only?: readonly string[]): Promise<Given[]> {
  const { store } = ctx;
  const pool: Given[] = [];
  for (const node of await store.nodes()) {
    if (only && !only.includes(node.id)) continue;
    const rootId = await ctx.rootId(node);
    const seen = new Set<string>();
    for (const one of await store.evaluations(node.id)) {
      // of sampled and prefilled answers there are verdicts enough
      if ('kind' in one) continue;
      const prompts = 'set' in one ? null : one.prompts;
      const answers = 'set' in one ? one.answers : one.answers.harmful;
      for (const { prompt, answer, ended = true } of answers) {
        const question = JSON.stringify([prompts?.id, prompt]);
        // newest first: what a checkpoint answered lately stands for what it answered before
        if (seen.has(question)) continue;
        seen.add(question);
        const digest = await answerDigest({ prompt, answer });
        pool.push({ prompt, answer, ended, checkpoint: node.id, digest, rootId, prompts });
      }
    }
  }
  return pool;
}
