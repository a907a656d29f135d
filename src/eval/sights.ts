/** The tokens of an answer as models saw them before they were written: for the token inspector. */
import type { TokenSight } from '../core/sights.ts';
import { distributions, expectations, type Continuation, type TokenExpectation } from './tokens.ts';
import type { Scorer } from './perplexity.ts';

/** Tokens shown as likeliest. */
export const TOP = 5;

/** What a model expected at each token of an answer, teacher-forced over it. */
export async function expected(scorer: Scorer, text: Continuation): Promise<TokenExpectation[]> {
  if (text.continuation.length === 0) return [];
  const [row] = await distributions(scorer, [text]);
  return expectations(text.continuation, row!, TOP);
}

/**
 * @param texts of each token as it stands in the answer
 * @param spell a token by itself
 * @param others what other models expected of the same tokens; null where one has other tokens
 */
export function sights(
  own: readonly TokenExpectation[],
  texts: readonly string[],
  spell: (id: number) => string,
  others: readonly (readonly TokenExpectation[] | null)[],
): TokenSight[] {
  return own.map(({ logp, entropy, top }, i) => ({
    text: texts[i]!,
    p: Math.exp(logp),
    entropy,
    top: top.map(({ id, logp }) => ({ text: spell(id), p: Math.exp(logp) })),
    others: others.map((row) => (row ? Math.exp(row[i]!.logp) : null)),
  }));
}
