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

/** How many ids two rows have in common at their beginnings. */
function common(a: readonly number[], b: readonly number[]): number {
  let n = 0;
  while (n < a.length && a[n] === b[n]) n++;
  return n;
}

/**
 * Chats in a model's own tokenizer and chat template. The last turn is learned: its tokens and the token that ends it,
 * which is taught even where the template writes none, as the default one. Of an item with `every` the assistant's earlier
 * turns are learned as well, each with the token that ends it where the template writes one.
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

  type Row = { ids: number[]; answerAt: number; merged: boolean };
  const whole = (item: Pick<ChatItem, 'prompt' | 'before' | 'answer' | 'open'>): Row => {
    const prompt = written(turns(item), 'answer');
    const messages: ChatMessage[] = [...turns(item), { role: 'assistant', content: item.answer }];
    const closed = written(messages, 'end');
    const answerAt = common(prompt, closed);
    const merged = answerAt < prompt.length;
    const end = closed.findIndex((id, i) => i >= answerAt && ends.has(id));
    if (end >= 0 && !item.open) return { ids: closed.slice(0, end + 1), answerAt, merged };
    const ids = written(messages, 'content');
    const [eos] = tokenizer.ends;
    return { ids: item.open || eos === undefined ? ids : [...ids, eos], answerAt, merged };
  };
  /** Ids of an answer's text alone. */
  const textOf = (item: Pick<ChatItem, 'prompt' | 'before' | 'answer'>): number[] => {
    const { ids, answerAt } = whole({ ...item, open: true });
    return ids.slice(answerAt);
  };
  const row = (item: ChatItem): Row => {
    const { ids, answerAt, merged } = whole(item);
    if (!item.behind) return { ids, answerAt, merged };
    const first = textOf({ ...item, answer: item.behind.text }).slice(0, item.behind.tokens);
    return {
      ids: [...ids.slice(0, answerAt), ...first, ...ids.slice(answerAt)],
      answerAt: answerAt + first.length,
      merged,
    };
  };

  /** Where the assistant's earlier turns stand in the row of the whole: ids [from, to). */
  const earlier = (item: ChatItem, ids: readonly number[]): [number, number][] => {
    const all = turns(item).slice(0, -1);
    return all.flatMap(({ role }, k): [number, number][] => {
      if (role !== 'assistant') return [];
      const through = all.slice(0, k + 1);
      const from = common(written(all.slice(0, k), 'answer'), ids);
      const closed = common(written(through, 'end'), ids);
      const end = ids.findIndex((id, i) => i >= from && i < closed && ends.has(id));
      if (end >= 0) return [[from, end + 1]];
      const content = written(through, 'content');
      const to = common(content, ids);
      // one token may differ: the last letter may stand in one token with what follows
      if (to <= from || to < content.length - 1) throw rewritten(item);
      return [[from, to]];
    });
  };

  const encode = (items: readonly ChatItem[]) => {
    const report: EncodeReport = { longest: 0, truncated: [], merged: 0 };
    const examples = items.map((item): Example => {
      const { ids, answerAt, merged } = row(item);
      if (answerAt >= ids.length) throw noAnswer(item);
      const labels = ids.map((id, i) => (i < answerAt ? IGNORE : id));
      if (item.every)
        for (const [from, to] of earlier(item, ids)) for (let i = from; i < to; i++) labels[i] = ids[i]!;
      if (merged) report.merged++;
      if (ids.length > maxTokens)
        report.truncated.push({ tokens: ids.length, ...(item.line !== undefined && { line: item.line }) });
      const cut = fit({ ids, labels }, answerAt, maxTokens);
      report.longest = Math.max(report.longest, cut.ids.length);
      return cut;
    });
    return { examples, report };
  };

  return {
    prompt: (request) => cutMiddle(written(turns(request), 'answer'), maxTokens),
    encode,
    answerTokens: (item) => textOf(item).length,
    decode: (ids) => tokenizer.decode(ids).trim(),
    ends: tokenizer.ends,
  };
}

/**
 * A row that is too long gives up the end of its last answer first, down to half of the row, and then the middle of what stands
 * before it: the markers of the template stand at its two ends, and labels stay whatever happens.
 */
function fit({ ids, labels }: Example, answerAt: number, most: number): Example {
  const end = Math.min(ids.length, answerAt + Math.max(most - answerAt, Math.floor(most / 2)));
  const before = most - (end - answerAt);
  const cut = (row: readonly number[]): number[] => [
    ...cutMiddle(row.slice(0, answerAt), before),
    ...row.slice(answerAt, end),
  ];
  const kept = cut(labels);
  // Behind the cut stands a token that nothing before it leads to.
  const seam = Math.floor(before / 2);
  if (answerAt > before && seam < before) kept[seam] = IGNORE;
  return { ids: cut(ids), labels: kept };
}

function cutMiddle(ids: number[], most: number): number[] {
  if (ids.length <= most) return ids;
  const head = Math.floor(most / 2);
  return [...ids.slice(0, head), ...ids.slice(ids.length - (most - head))];
}

const named = ({ line, prompt }: ChatItem): string =>
  line === undefined ? `"${prompt.slice(0, 60)}"` : `line ${line}`;

function rewritten(item: ChatItem): LabError {
  return new LabError(
    'bad-input',
    `The model's chat template writes the earlier turns of ${named(item)} in another way than the last one.`,
    {
      safe: 'Nothing was started.',
      next: 'Train on the last turn alone: leave "every" out of this line.',
    },
  );
}

function noAnswer(item: ChatItem): LabError {
  const which = named(item);
  return new LabError('bad-input', `The model's chat template leaves nothing of the answer to ${which}.`, {
    safe: 'Nothing was started.',
    next: 'Give an answer of at least one letter.',
  });
}
