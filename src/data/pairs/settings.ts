import * as v from 'valibot';
import { LabError } from '../../core/errors.ts';
import { REFUSALS } from '../file-task.ts';

const whole = (min: number, max = 100_000) =>
  v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max));
const sentence = v.pipe(
  v.string(),
  v.trim(),
  v.check((s) => s !== '', 'it is empty'),
);

/** Sizes of an attack as the literature has them. */
export const ATTACK_SIZES = [10, 50, 100, 500, 'all'] as const;
/** The paper's instructions in all, and its categories. */
export const PAPER = { instructions: 8000, categories: 14 } as const;

/** Above this two texts are about the same: to be looked at on one's own sets, see docs/data.md. */
export const THRESHOLDS = { tfidf: 0.1, hidden: 0.5, webllm: 0.5 } as const;

const schema = v.strictObject({
  /** `n` instructions in all, spread evenly over the categories, or `n` of each. */
  sample: v.optional(v.strictObject({ per: v.picklist(['total', 'category']), n: whole(1) }), {
    per: 'total',
    n: PAPER.instructions,
  }),
  /** Only these categories; null: all that the set names. */
  categories: v.optional(v.nullable(v.pipe(v.array(v.string()), v.minLength(1))), null),
  /** By words, by mean-pooled hidden states of a model, or by embeddings of another engine. */
  similarity: v.optional(v.picklist(['tfidf', 'hidden', 'webllm']), 'tfidf'),
  /** A pair that is more similar is drawn again; absent: as suits the similarity. */
  threshold: v.optional(v.pipe(v.number(), v.minValue(-1), v.maxValue(1))),
  /** Draws of one instruction at most. */
  maxDraws: v.optional(whole(1, 1000), 20),
  /** A refusal stands before each irrelevant answer (SDD_reject). */
  reject: v.optional(v.boolean(), false),
  refusals: v.optional(v.pipe(v.array(sentence), v.minLength(1)), [...REFUSALS]),
  /** Held-out harmful prompts, taken from the harmful set where no evaluation set is given. */
  heldOut: v.optional(whole(0), 100),
  /** Held-out benign chats. */
  benignHeldOut: v.optional(whole(0), 50),
  /** Benign chats of the defence, beside the pairs. */
  replay: v.optional(whole(0), 250),
  attack: v.optional(
    v.strictObject({
      size: v.optional(v.union([whole(1), v.literal('all')]), 100),
      /** Whole answers, or their affirmative beginnings alone. */
      target: v.optional(v.picklist(['full', 'opening']), 'full'),
      /** Prompts of the attack are kept out of the defence. */
      apart: v.optional(v.boolean(), true),
      /** Share of harmful examples in a mixture with benign ones; 1: no benign ones. */
      harmfulShare: v.optional(v.pipe(v.number(), v.minValue(0.01), v.maxValue(1)), 1),
    }),
    {},
  ),
  /** Benign chats of whoever tunes the released model (BFT). */
  benignTuning: v.optional(whole(0), 500),
  /** Chats of several turns train every assistant turn. */
  everyTurn: v.optional(v.boolean(), false),
});

export type PairSettings = v.InferOutput<typeof schema> & { threshold: number };
export type PairSettingsInput = v.InferInput<typeof schema>;

/** @throws LabError 'bad-config' naming the setting */
export function pairSettings(own: PairSettingsInput = {}): PairSettings {
  const parsed = v.safeParse(schema, own);
  if (parsed.success) {
    const { output } = parsed;
    return { ...output, threshold: output.threshold ?? THRESHOLDS[output.similarity] };
  }
  const [issue] = parsed.issues;
  throw new LabError('bad-config', `Setting "${v.getDotPath(issue) ?? ''}": ${issue.message}.`, {
    safe: 'Nothing was built, and the sets are as they were.',
    next: 'docs/data.md lists the settings and their ranges.',
  });
}

/**
 * Instructions that suit a model: the paper's 8,000 were for 7 billion parameters, the lab's own 1,000 for small ones.
 * @param parameters of the model; null: none is chosen
 */
export function sampleFor(parameters: number | null): number {
  if (parameters === null) return PAPER.instructions;
  const most = PAPER.instructions;
  return Math.min(most, Math.max(1000, Math.round((most * parameters) / 7e9 / 100) * 100));
}
