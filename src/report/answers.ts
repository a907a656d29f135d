/** Every answer as a line of JSON: what a reader needs to judge and count again. */
import type { VerdictKind } from '../core/verdicts.ts';

export interface LineAnswer {
  prompt: string;
  answer: string;
  /** Which fact was asked for; absent in older evaluations of the page. */
  fact?: number;
  verdict: { kind: VerdictKind; reason: string };
}

/**
 * @param about of the model and what was done to it
 * @param sets of requests by name; those that are called 'sampled' were drawn at temperature 1
 */
export function* answerLines(
  about: Readonly<Record<string, unknown>>,
  sets: readonly { set: string; answers: readonly LineAnswer[] }[],
  judge: string,
): Generator<string> {
  for (const { set, answers } of sets)
    for (const [i, { fact, verdict, ...asked }] of answers.entries()) {
      const line = {
        id: `${set}/${fact ?? ''}/${i}`,
        ...about,
        ...asked,
        temperature: set === 'sampled' ? 1 : 0,
        verdict: verdict.kind,
        reason: verdict.reason,
        judge,
      };
      yield `${JSON.stringify(line)}\n`;
    }
}
