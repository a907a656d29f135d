/** Words of an n-gram. Four in Welleck et al.; answers here are short. */
const N = 3;

/**
 * seq-rep-n of Welleck et al., 'Neural Text Generation with Unlikelihood Training', ICLR 2020 (1 - distinct-n of Li et al., 2016):
 * the share of a text's n-grams that it has already said, 0..1; 0 where it has none.
 * @param words or tokens
 */
export function repetition(words: readonly (string | number)[]): number {
  const grams = words.slice(N - 1).map((_, i) => words.slice(i, i + N).join(' '));
  return grams.length === 0 ? 0 : 1 - new Set(grams).size / grams.length;
}
