import { expectation, GRAMMAR, judgeMessages, SEED } from '../eval/judges/llm/rubric.ts';
import type { JudgePort, LlmPort, Score } from './ports.ts';

/** As scores are signed: another model or another library version is another judge. */
export const judgeId = (modelId: string, library: string): string => `${modelId} (${library})`;

/** The model that is loaded, as a judge by the published rubric: one constrained token an answer. */
export function llmJudge(llm: LlmPort, modelId: string): JudgePort {
  return {
    id: judgeId(modelId, llm.library),
    async score(items, { signal, onScore } = {}) {
      const scores: Score[] = [];
      for (const [index, item] of items.entries()) {
        const [token] = await llm.complete(
          { messages: judgeMessages(item) },
          { maxTokens: 1, seed: SEED, grammar: GRAMMAR, ...(signal && { signal }) },
        );
        const score = expectation(token);
        scores.push(score);
        onScore?.(score, index);
      }
      return scores;
    },
  };
}
