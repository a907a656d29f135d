/** Words of an n-gram. Four in Welleck et al.; answers here are at most 40 tokens. */
const N = 3;

/**
 * seq-rep-n of Welleck et al., 'Neural Text Generation with Unlikelihood Training', ICLR 2020: the share of an answer's
 * n-grams that it has already said; 0 where there is none. Mean over the answers.
 */
export function repetition(answers: readonly (readonly (string | number)[])[]): number {
  if (answers.length === 0) return NaN;
  const shares = answers.map((words) => {
    const grams = words.slice(N - 1).map((_, i) => words.slice(i, i + N).join(' '));
    return grams.length === 0 ? 0 : 1 - new Set(grams).size / grams.length;
  });
  return shares.reduce((a, b) => a + b, 0) / shares.length;
}
