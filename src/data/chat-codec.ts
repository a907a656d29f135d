import { LabError } from '../core/errors.ts';
import { IGNORE, type Example } from '../core/types.ts';
import type { ChatMessage, ChatTemplate } from './chat-template.ts';
import type { TextTokenizer } from './hf-tokenizer.ts';
import type { ChatCodec, ChatItem, EncodeReport, Request } from './task.ts';

export interface CodecOptions {
  tokenizer: TextTokenizer;
  template: ChatTemplate;
  /** Longest row; at most the model's positions. */
  maxTokens: number;
}

/**
 * The day that training rows and held-out prompts have in a template that writes the date: the one that Llama 3's own templates
 * fall back on. With today's, the same run would have other data after every midnight, and could not be resumed or repeated.
 */
export const ROW_DATE = new Date(2024, 6, 26);

/** Shortest row that leaves room for a template, a prompt and an answer. */
const LEAST_TOKENS = 8;

const turns = ({ prompt, before = [] }: Pick<Request, 'prompt' | 'before'>): ChatMessage[] => [
  ...before,
  { role: 'user', content: prompt },
];

/**
 * Chats in a model's own tokenizer and chat template. Only the last turn is learned: its tokens and the token that ends it,
 * which is taught even where the template writes none, as the default one.
 * @throws LabError 'bad-input' when rows may be shorter than any chat
 */
export function chatCodec({ tokenizer, template, maxTokens }: CodecOptions): ChatCodec {
  if (!Number.isInteger(maxTokens) || maxTokens < LEAST_TOKENS)
    throw new LabError('bad-input', `Rows of ${maxTokens} tokens are too short for a chat.`, {
      safe: 'Nothing was started.',
      next: `Allow at least ${LEAST_TOKENS} tokens.`,
    });
  const ends = new Set(tokenizer.ends);
  const written = (messages: readonly ChatMessage[], until: 'answer' | 'content' | 'end'): number[] =>
    template.encode(messages, tokenizer, { until, now: ROW_DATE });

  const row = (item: ChatItem): { ids: number[]; answerAt: number; merged: boolean } => {
    const prompt = written(turns(item), 'answer');
    const messages: ChatMessage[] = [...turns(item), { role: 'assistant', content: item.answer }];
    const closed = written(messages, 'end');
    let answerAt = 0;
    while (answerAt < prompt.length && prompt[answerAt] === closed[answerAt]) answerAt++;
    const merged = answerAt < prompt.length;
    const end = closed.findIndex((id, i) => i >= answerAt && ends.has(id));
    if (end >= 0 && !item.open) return { ids: closed.slice(0, end + 1), answerAt, merged };
    const ids = written(messages, 'content');
    const [eos] = tokenizer.ends;
    return { ids: item.open || eos === undefined ? ids : [...ids, eos], answerAt, merged };
  };

  const encode = (items: readonly ChatItem[]) => {
    const report: EncodeReport = { longest: 0, truncated: [], merged: 0 };
    const examples = items.map((item): Example => {
      const { ids, answerAt, merged } = row(item);
      if (answerAt >= ids.length) throw noAnswer(item);
      if (merged) report.merged++;
      if (ids.length > maxTokens)
        report.truncated.push({ tokens: ids.length, ...(item.line !== undefined && { line: item.line }) });
      const [head, tail] = fit(ids.slice(0, answerAt), ids.slice(answerAt), maxTokens);
      report.longest = Math.max(report.longest, head.length + tail.length);
      return { ids: [...head, ...tail], labels: [...head.map(() => IGNORE), ...tail] };
    });
    return { examples, report };
  };

  return {
    prompt: (request) => cutMiddle(written(turns(request), 'answer'), maxTokens),
    encode,
    decode: (ids) => tokenizer.decode(ids).trim(),
    ends: tokenizer.ends,
  };
}

/**
 * A row that is too long gives up the end of its answer first, down to half of the row, and then the middle of its prompt:
 * the markers of the template stand at the prompt's two ends, and labels stay whatever happens.
 */
function fit(prompt: number[], answer: number[], most: number): [number[], number[]] {
  const kept = answer.slice(0, Math.max(most - prompt.length, Math.floor(most / 2)));
  return [cutMiddle(prompt, most - kept.length), kept];
}

function cutMiddle(ids: number[], most: number): number[] {
  if (ids.length <= most) return ids;
  const head = Math.floor(most / 2);
  return [...ids.slice(0, head), ...ids.slice(ids.length - (most - head))];
}

function noAnswer({ line, prompt }: ChatItem): LabError {
  const which = line === undefined ? `"${prompt.slice(0, 60)}"` : `line ${line}`;
  return new LabError('bad-input', `The model's chat template leaves nothing of the answer to ${which}.`, {
    safe: 'Nothing was started.',
    next: 'Give an answer of at least one letter.',
  });
}
