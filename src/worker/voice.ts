/** How a model is spoken to, and how its tokens become text: the tiny world's way, and that of a model of its own. */
import { SPECIAL } from '../data/chat.ts';
import type { Tokenizer } from '../data/tokenizer.ts';
import type { ModelText } from './open-model.ts';

export interface Voice {
  /** Ids of one question, up to where the answer begins. */
  prompt(text: string): number[];
  /** Tokens that end an answer and are not part of it. */
  ends: ReadonlySet<number>;
  /** One token as it is spelled. */
  spell(id: number): string;
  /** The text of an answer's tokens as they come: put together it is the answer. `end` gives what was held back. */
  stream(prompt: readonly number[]): { push(id: number): string; end(): string };
}

export function tinyVoice(tokenizer: Tokenizer): Voice {
  return {
    prompt: (text) => [SPECIAL.bos, SPECIAL.user, ...tokenizer.encode(text), SPECIAL.asst],
    ends: new Set([SPECIAL.eos]),
    spell: (id) => tokenizer.token(id),
    stream: () => {
      const ids: number[] = [];
      let shown = '';
      return {
        push(id) {
          ids.push(id);
          const text = tokenizer.readable(ids);
          const piece = text.slice(shown.length);
          shown = text;
          return piece;
        },
        end: () => '',
      };
    },
  };
}

export function ownVoice({ tokenizer, template }: ModelText): Voice {
  return {
    prompt: (text) => template.encode([{ role: 'user', content: text }], tokenizer),
    ends: new Set(tokenizer.ends),
    spell: (id) => tokenizer.decode([id], { special: true }),
    stream: (prompt) => {
      const stream = tokenizer.stream(prompt);
      let begun = false;
      // an answer begins where its turn begins, whatever space stands between
      const fromBegin = (text: string): string => {
        const piece = begun ? text : text.trimStart();
        begun ||= piece !== '';
        return piece;
      };
      return { push: (id) => fromBegin(stream.push(id)), end: () => fromBegin(stream.end()) };
    },
  };
}
