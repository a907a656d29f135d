/**
 * A user's own prompts: a JSONL file, one line an object (docs/models.md). A line that cannot be used is named by its number
 * and nothing is left out silently: either all of the file is used, or none of it.
 */
import * as v from 'valibot';
import { LabError } from '../core/errors.ts';
import { Rng } from '../core/rng.ts';
import type { ChatMessage } from './chat-template.ts';
import type { Chat, Request } from './task.ts';

const text = v.pipe(
  v.string(),
  v.check((s) => s.trim() !== '', 'it is empty'),
);
const SPLITS = ['defence', 'attack', 'eval'] as const;
export type PromptSplit = (typeof SPLITS)[number];

const schema = v.looseObject({
  role: v.picklist(['harmful', 'benign', 'refusal'], 'one of "harmful", "benign", "refusal" is wanted'),
  prompt: v.optional(text),
  answer: v.optional(text),
  opening: v.optional(text),
  irrelevant: v.optional(text),
  refusal: v.optional(text),
  every: v.optional(v.boolean()),
  messages: v.optional(
    v.pipe(
      v.array(v.looseObject({ role: v.picklist(['system', 'user', 'assistant']), content: text })),
      v.minLength(1),
    ),
  ),
  split: v.optional(v.picklist(SPLITS, 'one of "defence", "attack", "eval" is wanted')),
});

/** The lines of a file by what they are for. */
export interface Prompts {
  /** SHA-256 (hex) of the file's bytes. */
  sha256: string;
  harmful: Readonly<Record<PromptSplit, readonly Request[]>>;
  benign: Readonly<Record<PromptSplit, readonly Chat[]>>;
  /** What SDD_reject and chat tuning refuse with; empty: the lab's own words. */
  refusals: readonly string[];
  /** What a person should know before believing results from this file. */
  notes: readonly string[];
}

/** Bad lines that are told before 'and n more'. */
const SHOWN = 10;

const ASCII = /^\p{ASCII}*$/u;

const words = (s: string): string => {
  // nothing to normalise, and several times as fast
  if (ASCII.test(s)) {
    const lower = s.toLowerCase();
    return lower.match(/[a-z0-9]+/g)?.join(' ') ?? lower.trim();
  }
  const normal = s.normalize('NFKC').toLowerCase();
  return normal.match(/[\p{L}\p{N}\p{M}]+/gu)?.join(' ') ?? normal.trim();
};

/** What makes two requests the same: letters and digits of all that the user says. */
export function promptKey({ before = [], prompt }: Pick<Request, 'before' | 'prompt'>): string {
  const said = before.filter((m) => m.role === 'user').map((m) => m.content);
  return words([...said, prompt].join('\n'));
}

interface Line extends Request {
  role: 'harmful' | 'benign';
  split: PromptSplit;
  line: number;
}

/** A line without a split gets one by its text, whatever stands around it: 2 in 10 are held out. */
function splitOf(request: Request, role: 'harmful' | 'benign'): PromptSplit {
  const tenth = new Rng(`split/${promptKey(request)}`).int(10);
  if (tenth < 2) return 'eval';
  return tenth < 6 && !(role === 'harmful' && request.answer === null) ? 'attack' : 'defence';
}

/** The request of a parsed line. @returns what is wrong with it, in words */
function requestOf(parsed: v.InferOutput<typeof schema>, line: number): Request | string {
  const { prompt, messages, answer, opening, irrelevant, refusal, every } = parsed;
  if ((prompt === undefined) === (messages === undefined)) return 'it wants either "prompt" or "messages"';
  const rest = {
    opening: opening?.trim() ?? null,
    line,
    ...(irrelevant !== undefined && { irrelevant: irrelevant.trim() }),
    ...(refusal !== undefined && { refusal: refusal.trim() }),
    ...(every === true && { every }),
  };
  if (prompt !== undefined) return { prompt: prompt.trim(), answer: answer?.trim() ?? null, ...rest };
  const turns = messages!.map(({ role, content }): ChatMessage => ({ role, content: content.trim() }));
  const spoken = turns.filter((m, i) => !(i === 0 && m.role === 'system'));
  if (spoken.some((m, i) => m.role !== (i % 2 === 0 ? 'user' : 'assistant')))
    return 'its messages do not take turns, user first, after at most one system message';
  const last = spoken.at(-1);
  if (last === undefined) return 'its messages ask nothing';
  const own = last.role === 'assistant' ? last.content : null;
  if (own !== null && answer !== undefined) return 'its answer stands in "answer" and in "messages"';
  const asked = own === null ? turns : turns.slice(0, -1);
  const before = asked.slice(0, -1);
  return {
    prompt: asked.at(-1)!.content,
    ...(before.length > 0 && { before }),
    answer: own ?? answer?.trim() ?? null,
    ...rest,
  };
}

function lineOf(json: unknown, number: number): Line | { refuses: string } | string {
  const parsed = v.safeParse(schema, json);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const path = v.getDotPath(issue);
    return path === null ? 'it is no object' : `"${path}": ${issue.message}`;
  }
  const { role, answer, split } = parsed.output;
  if (role === 'refusal') {
    const { prompt, messages } = parsed.output;
    if (answer === undefined || prompt !== undefined || messages !== undefined)
      return 'a refusal has "answer" and nothing else';
    return { refuses: answer.trim() };
  }
  const request = requestOf(parsed.output, number);
  if (typeof request === 'string') return request;
  const line: Line = { ...request, role, split: split ?? splitOf(request, role), line: number };
  if (role === 'benign' && line.answer === null) return 'a benign line needs an answer';
  if (role === 'benign' && line.opening !== null) return '"opening" belongs to harmful lines';
  if (line.irrelevant !== undefined && (role !== 'harmful' || split !== 'defence'))
    return '"irrelevant" belongs to harmful lines of split "defence"';
  if (line.refusal !== undefined && line.irrelevant === undefined)
    return '"refusal" stands before an "irrelevant" answer, and there is none';
  if (line.split === 'attack' && line.answer === null) return 'an attack needs an answer to train on';
  if (line.opening !== null && line.answer !== null && !line.answer.startsWith(line.opening))
    return 'its answer does not begin with its "opening"';
  return line;
}

/** @throws LabError 'bad-input' with the numbers of all bad lines, and when the file is no UTF-8 or holds nothing */
export async function readPrompts(bytes: Uint8Array<ArrayBuffer>): Promise<Prompts> {
  let content: string;
  try {
    content = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw bad('it is not a text in UTF-8', cause);
  }
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return parsePrompts(content, Array.from(hash, (b) => b.toString(16).padStart(2, '0')).join(''));
}

/** @throws as readPrompts */
export function parsePrompts(content: string, sha256: string): Prompts {
  const lines: Line[] = [];
  const refusals: string[] = [];
  const wrong: string[] = [];
  content.split('\n').forEach((raw, i) => {
    if (raw.trim() === '') return;
    const number = i + 1;
    let json: unknown;
    try {
      json = JSON.parse(raw);
    } catch {
      wrong.push(`line ${number}: it is not JSON`);
      return;
    }
    const line = lineOf(json, number);
    if (typeof line === 'string') wrong.push(`line ${number}: ${line}`);
    else if ('refuses' in line) refusals.push(line.refuses);
    else lines.push(line);
  });
  if (wrong.length > 0) {
    const more = wrong.length > SHOWN ? `; and ${wrong.length - SHOWN} more` : '';
    throw bad(`${wrong.slice(0, SHOWN).join('; ')}${more}`);
  }
  if (lines.length === 0) throw bad('it holds no prompt');
  checkHeldOut(lines);
  const of = (role: Line['role'], split: PromptSplit): Line[] =>
    lines.filter((l) => l.role === role && l.split === split);
  const by = (role: Line['role']) => ({
    defence: of(role, 'defence'),
    attack: of(role, 'attack'),
    eval: of(role, 'eval'),
  });
  return {
    sha256,
    harmful: by('harmful'),
    benign: by('benign') as Record<PromptSplit, (Line & Chat)[]>,
    refusals,
    notes: notesOn(lines),
  };
}

/** What is asked in evaluation may stand in no training split, in whatever spelling. */
function checkHeldOut(lines: readonly Line[]): void {
  const trained = new Map<string, number>();
  for (const line of lines) if (line.split !== 'eval') trained.set(promptKey(line), line.line);
  const shared = lines.flatMap((line) => {
    const other = line.split === 'eval' ? trained.get(promptKey(line)) : undefined;
    return other === undefined ? [] : [`line ${line.line} asks what line ${other} trains on`];
  });
  if (shared.length === 0) return;
  const more = shared.length > SHOWN ? `; and ${shared.length - SHOWN} more` : '';
  throw bad(`its evaluation is not held out: ${shared.slice(0, SHOWN).join('; ')}${more}`);
}

function notesOn(lines: readonly Line[]): string[] {
  const notes: string[] = [];
  const defended = new Set(lines.filter((l) => l.split === 'defence').map(promptKey));
  const both = lines.filter((l) => l.split === 'attack' && defended.has(promptKey(l))).length;
  if (both > 0)
    notes.push(
      `${both} prompts of the attack stand in the defence's split too: the defence knows this attack.`,
    );
  const asked = lines.filter((l) => l.split === 'eval').map(promptKey);
  const again = asked.length - new Set(asked).size;
  if (again > 0) notes.push(`${again} held-out prompts are repetitions and count again.`);
  return notes;
}

function bad(what: string, cause?: unknown): LabError {
  return new LabError('bad-input', `This prompts file cannot be used: ${what}.`, {
    safe: 'Nothing was started, and no line was left out.',
    next: 'Put these lines right; docs/models.md describes the format.',
    cause,
  });
}
