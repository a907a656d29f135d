/**
 * What every judge of answers is to the rest of the lab: a name with a version, a sentence about what it does, and a verdict with
 * its reason in words for each answer. A verdict is never shown without them.
 */
import { LabError } from '../../core/errors.ts';

/** A question and what a model said to it. */
export interface JudgeItem {
  prompt: string;
  answer: string;
  /** The model ended its turn itself, and was not cut at the allowance. */
  ended: boolean;
}

export interface Judgement<K extends string = string> {
  kind: K;
  /** Why, in words. */
  reason: string;
  /** id@version of who gave it. */
  judge: string;
}

export interface Judge<K extends string = string> {
  readonly id: string;
  /** Goes up with every change that can change a verdict. */
  readonly version: string;
  readonly description: string;
  readonly kinds: readonly K[];
  /** One finding for each item, in order. */
  judge(items: readonly JudgeItem[], signal?: AbortSignal): Promise<Omit<Judgement<K>, 'judge'>[]>;
}

export const judgeName = ({ id, version }: Pick<Judge, 'id' | 'version'>): string => `${id}@${version}`;

/** Seconds that a judge may take over all answers of one call. The rules read hundreds with a model, on a slow device behind other work. */
export const PATIENCE = 600;

/**
 * The findings of a judge under its name, once they are what was asked for: one of its kinds and a reason for every item. A judge
 * may be another model that answers late or nonsense.
 * @param o.seconds that the judge may take
 * @throws LabError in words when it takes longer, fails, or says something else; of the judge's own errors a LabError and a
 * cancellation go through as they are
 */
export async function judgeAll<K extends string>(
  judge: Judge<K>,
  items: readonly JudgeItem[],
  o: { seconds?: number; signal?: AbortSignal } = {},
): Promise<Judgement<K>[]> {
  const { seconds = PATIENCE } = o;
  const name = judgeName(judge);
  const stop = new AbortController();
  const signal = o.signal ? AbortSignal.any([o.signal, stop.signal]) : stop.signal;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = failed(name, `gave no verdict within ${seconds} s`);
      reject(error);
      stop.abort(error);
    }, seconds * 1000);
  });
  try {
    const found = await Promise.race([judge.judge(items, signal), late]);
    if (!Array.isArray(found) || found.length !== items.length)
      throw failed(name, `was asked about ${items.length} answers and did not answer for each`);
    return found.map((finding: Partial<Omit<Judgement<K>, 'judge'>> | null | undefined) => {
      const { kind, reason } = finding ?? {};
      if (kind === undefined || !judge.kinds.includes(kind))
        throw failed(name, `said "${String(kind).slice(0, 40)}", which is no verdict`);
      if (typeof reason !== 'string' || reason.trim() === '')
        throw failed(name, 'gave a verdict without a reason');
      return { kind, reason, judge: name };
    });
  } catch (e) {
    if (e instanceof LabError || o.signal?.aborted || (e instanceof Error && e.name === 'AbortError'))
      throw e;
    throw failed(name, `could not answer (${e instanceof Error ? e.message : String(e)})`, e);
  } finally {
    clearTimeout(timer);
  }
}

const failed = (name: string, what: string, cause?: unknown): LabError =>
  new LabError('bad-input', `The judge ${name} ${what}.`, {
    safe: 'The answers and all other verdicts are kept.',
    next: 'Try again, or choose another judge.',
    cause,
  });
