import { Generator } from '../model/generate.ts';
import type { LogitsPiece } from '../model/head.ts';
import type { Model } from '../model/model.ts';
import { json, type CaseFiles, type Report } from './golden-case.ts';

interface Continuation {
  prompt_ids: number[];
  continuation_ids?: number[];
  top5_ids?: number[][];
  top5_logprobs?: number[][];
  long_continuation_ids?: number[];
}

/** Absolute error of a log-probability. */
const LOGPROB_TOL = 1e-4;

/** The stored greedy continuations against the engine's. */
export async function runGeneration(
  model: Model,
  files: CaseFiles,
  report: Report,
  logits: Partial<LogitsPiece> = {},
): Promise<void> {
  const stored = json(files, 'generation.json') as Continuation | { cases: Continuation[] };
  const cases = 'cases' in stored ? stored.cases : [stored];
  const length = (c: Continuation): number => (c.continuation_ids ?? c.long_continuation_ids ?? []).length;
  const maxLen = Math.max(...cases.map((c) => c.prompt_ids.length + length(c)));
  const generator = new Generator(model, { maxSeqs: cases.length, maxLen, logits });
  try {
    // The whole case as one batch: rows of different length finish at different steps, none may disturb another.
    const out = await generator.generate(
      cases.map((c) => c.prompt_ids),
      { maxNewTokens: Math.max(...cases.map(length)), eos: -1, temperature: 0, topAlternatives: 5 },
    );
    cases.forEach((c, r) => {
      const expected = c.continuation_ids ?? c.long_continuation_ids ?? [];
      const row = out[r]!.slice(0, expected.length);
      const wrong = expected.filter((id, i) => row[i]?.id !== id).length;
      report.add('greedy text: wrong tokens', wrong, 0);
      if (wrong === 0 && c.top5_ids && c.top5_logprobs) checkTop5(row, c.top5_ids, c.top5_logprobs, report);
    });
  } finally {
    generator.destroy();
  }
}

function checkTop5(
  row: readonly { logprob: number; top: readonly { id: number; logprob: number }[] }[],
  ids: number[][],
  logprobs: number[][],
  report: Report,
): void {
  let wrong = 0;
  row.forEach(({ logprob, top }, i) => {
    const expected = logprobs[i]!;
    report.add('greedy text: log-probabilities', Math.abs(logprob - expected[0]!), LOGPROB_TOL);
    expected.forEach((value, k) => {
      report.add('greedy text: log-probabilities', Math.abs((top[k]?.logprob ?? NaN) - value), LOGPROB_TOL);
      const clear = [expected[k - 1], expected[k + 1]].every(
        (x) => x === undefined || Math.abs(x - value) > LOGPROB_TOL,
      );
      if (clear && top[k]?.id !== ids[i]![k]) wrong++;
    });
  });
  report.add('greedy text: wrong alternatives', wrong, 0);
}
