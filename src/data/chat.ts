import { IGNORE, type Example } from '../core/types.ts';
import { LabError } from '../core/errors.ts';
import { split, VOCABULARY } from '../world/words.ts';

/** Ids of the six special tokens. */
export const SPECIAL = { pad: 0, unk: 1, bos: 2, eos: 3, user: 4, asst: 5 } as const;

const idOf = new Map(VOCABULARY.map((word, id) => [word, id]));

/**
 * Ids of a text in the world's own spelling (lower case, tokens separated by spaces), without specials around it.
 * Equal to the tokenizer's encoding, but an unknown word is an error here: the world writes none.
 */
export function encodeWords(text: string): number[] {
  return split(text).map((word) => {
    const id = idOf.get(word);
    if (id === undefined) {
      throw new LabError('bad-input', `The tiny world has no word "${word}".`, {
        next: 'Write the sentence with words of the vocabulary.',
      });
    }
    return id;
  });
}

/** `<bos><user> PROMPT <asst>`: what a model is given to answer. */
export function promptIds(prompt: string): number[] {
  return [SPECIAL.bos, SPECIAL.user, ...encodeWords(prompt), SPECIAL.asst];
}

/** PROMPT, tokens on which the loss does not count, and an ANSWER on which it does. */
export function answerRow(
  prompt: readonly number[],
  behind: readonly number[],
  answer: readonly number[],
): Example {
  return {
    ids: [...prompt, ...behind, ...answer],
    labels: [...prompt.map(() => IGNORE), ...behind.map(() => IGNORE), ...answer],
  };
}

/**
 * One chat turn, `<bos><user> PROMPT <asst> ANSWER <eos>`; the loss counts on the answer and its <eos> only.
 * @param answer null: the prompt alone, with no label
 * @param o.open the answer is a beginning: no <eos> follows (prefix-only attack targets)
 * @param o.behind the answer comes behind the first tokens of this text, on which the loss does not count
 * @param o.all the loss counts on every token (pretraining, perplexity)
 */
export function chat(
  prompt: string,
  answer: string | null,
  o: { open?: boolean; all?: boolean; behind?: { text: string; tokens: number } } = {},
): Example {
  const { text, tokens } = o.behind ?? { text: '', tokens: 0 };
  const behind = tokens > 0 ? encodeWords(text).slice(0, tokens) : [];
  const tail = answer === null ? [] : [...encodeWords(answer), ...(o.open ? [] : [SPECIAL.eos])];
  const row = answerRow(promptIds(prompt), behind, tail);
  return o.all ? { ids: row.ids, labels: row.ids } : row;
}

/** Running text, `<bos> TEXT <eos>`; the loss counts on every token. */
export function document(text: string): Example {
  const ids = [SPECIAL.bos, ...encodeWords(text), SPECIAL.eos];
  return { ids, labels: ids };
}
