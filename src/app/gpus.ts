/** The GPUs that results came from, each once; older results do not say. */
export const gpusOf = (results: readonly { adapter?: string }[]): string[] => [
  ...new Set(results.flatMap((r) => r.adapter ?? [])),
];
