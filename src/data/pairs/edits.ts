import * as v from 'valibot';
import { LabError } from '../../core/errors.ts';
import type { Pair } from './types.ts';

const text = v.pipe(
  v.string(),
  v.trim(),
  v.check((s) => s !== '', 'it is empty'),
);

const schema = v.record(
  v.string(),
  v.strictObject({
    exclude: v.optional(v.literal(true)),
    prompt: v.optional(text),
    irrelevant: v.optional(text),
    refusal: v.optional(text),
  }),
);

/** What a person changed, by the id of the instruction's row: laid over whatever the seed draws. */
export type Edits = v.InferOutput<typeof schema>;

/** What a person changed: a file of edits. @throws LabError 'bad-input' naming the pair and the field */
export function readEdits(json: unknown): Edits {
  const parsed = v.safeParse(schema, json);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new LabError(
    'bad-input',
    `These edits cannot be used: "${v.getDotPath(issue) ?? ''}": ${issue.message}.`,
    {
      safe: 'Nothing was built, and the sets are as they were.',
      next: 'docs/data.md says what an edit may hold.',
    },
  );
}

/** Pairs with the edits over them; excluded ones stay, marked. @returns also the edits that belong to no pair */
export function laidOver(pairs: readonly Pair[], edits: Edits): { pairs: Pair[]; unused: string[] } {
  const known = new Set(pairs.map((pair) => pair.id));
  return {
    unused: Object.keys(edits).filter((id) => !known.has(id)),
    pairs: pairs.map((pair) => {
      const edit = edits[pair.id];
      if (!edit) return pair;
      const { exclude, prompt = pair.prompt, irrelevant = pair.irrelevant, refusal } = edit;
      const refuses = pair.refusal === undefined ? undefined : (refusal ?? pair.refusal);
      const edited = prompt !== pair.prompt || irrelevant !== pair.irrelevant || refuses !== pair.refusal;
      return {
        ...pair,
        prompt,
        irrelevant,
        ...(refuses !== undefined && { refusal: refuses }),
        ...(edited && { edited: true as const }),
        ...(exclude && { excluded: true as const }),
      };
    }),
  };
}
