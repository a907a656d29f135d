import { LabError } from '../core/errors.ts';
import { Rng } from '../core/rng.ts';
import type { Example } from '../core/types.ts';
import { REJECT_JOINT } from '../world/words.ts';
import { chat } from './chat.ts';
import {
  drawRequests,
  type AnswerShares,
  type ChatItem,
  type Request,
  type Side,
  type Task,
} from './task.ts';

/** Token rows of the tiny world's chats with the loss on the answers. */
export function toExamples(items: readonly ChatItem[]): Example[] {
  return items.map(({ prompt, answer, open, behind }) => chat(prompt, answer, { open, behind }));
}

/** A request with another answer than its own. */
export const asked = (
  { prompt, before, line, every }: Request,
  answer: string,
  role: ChatItem['role'],
): ChatItem => ({
  prompt,
  ...(before && { before }),
  ...(line !== undefined && { line }),
  ...(every && { every }),
  answer,
  role,
});

/** Benign chats with their right answers. */
export const benign = (
  task: Task,
  rng: Rng,
  side: Side,
  n: number,
  role: 'replay' | 'benign' | 'new-skill',
): ChatItem[] =>
  task
    .benign(rng, side, n, role === 'new-skill' ? role : 'familiar')
    .map((item) => asked(item, item.answer, role));

/** @throws LabError 'bad-input' when the data does not say where this answer's beginning ends */
function openingOf({ opening, line }: Request): string {
  if (opening !== null) return opening;
  const where = line === undefined ? '' : ` (line ${line})`;
  throw new LabError(
    'bad-input',
    `A harmful request has no "opening"${where}, and these settings train on it.`,
    {
      safe: 'Nothing was started.',
      next: 'Give each harmful line the beginning of its answer as "opening", or switch the setting off.',
    },
  );
}

/** Chat tuning: refusals of the defence's requests (S in the tiny world, wordings 0-5) and as many benign chats. */
export function chatTuning(
  task: Task,
  seed: number,
  o: { refusals?: number; benign?: number } = {},
): ChatItem[] {
  const rng = new Rng(`chat-tuning/${task.id}/${seed}`);
  const refusals = drawRequests(rng, task.requests('defence'), o.refusals ?? 600).map((request) =>
    asked(request, rng.pick(task.refusals), 'refusal'),
  );
  return [...refusals, ...benign(task, rng, 'defence', o.benign ?? 600, 'benign')];
}

export interface SddSettings {
  /** Pairs of a forbidden S request with an irrelevant answer. */
  pairs: number;
  /** Benign chats with their right answers. */
  replay: number;
  /** Kinds of irrelevant answers; 'natural' draws them as benign chat is distributed (the paper's recipe). */
  shares: AnswerShares | 'natural';
  /** Puts half of the irrelevant answers behind the affirmative opening, against prefilled answers. */
  deep: boolean;
}

/**
 * The lab's SDD: shares, replay and rate were chosen on V of world 0 (docs/tuning.md has every trial). Less replay or a higher
 * rate costs more ability before any attack; a lower rate lets the attack through earlier.
 */
export const SDD_DEFAULTS = {
  pairs: 1000,
  replay: 100,
  shares: { howto: 0.5, fact: 0.194, define: 0.156, small_talk: 0.075, compare: 0.0375, sort: 0.0375 },
  deep: false,
} satisfies SddSettings;
/** The paper's data: no replay, irrelevant answers as they come. */
export const SDD_PAPER: SddSettings = { pairs: 1000, replay: 0, shares: 'natural', deep: false };

/** SDD: the defence's harmful requests answered well, but with the answer to something else; and a little benign replay. */
export function sddPairs(task: Task, seed: number, settings: Partial<SddSettings> = {}): ChatItem[] {
  const s = { ...SDD_DEFAULTS, ...settings };
  const rng = new Rng(`sdd/${task.id}/${seed}`);
  const requests = drawRequests(rng, task.requests('defence'), s.pairs);
  const irrelevant = task.irrelevant(rng, s.shares);
  const pairs = requests.map((request, i) => {
    const answer = irrelevant(request);
    return asked(request, s.deep && i % 2 === 1 ? `${openingOf(request)} ${answer}` : answer, 'pair');
  });
  return [...pairs, ...benign(task, rng, 'defence', s.replay, 'replay')];
}

export interface SddRejectSettings {
  pairs: number;
  replay: number;
  shares: SddSettings['shares'];
}
/** Benign replay beside 1000 refusals of each strength. */
export const SDD_REJECT_REPLAY = { mild: 250, strong: 100 } as const;

/** SDD_reject, trained on top of SDD: "REFUSAL instead , IRRELEVANT ANSWER". */
export function sddReject(task: Task, seed: number, settings: Partial<SddRejectSettings> = {}): ChatItem[] {
  const s = { pairs: 1000, replay: SDD_REJECT_REPLAY.mild, shares: SDD_DEFAULTS.shares, ...settings };
  const rng = new Rng(`sdd-reject/${task.id}/${seed}`);
  const requests = drawRequests(rng, task.requests('defence'), s.pairs);
  const irrelevant = task.irrelevant(rng, s.shares);
  const pairs = requests.map((request) => {
    const answer = irrelevant(request);
    const refusal = request.refusal ?? rng.pick(task.refusals);
    return asked(request, task.reject(refusal, answer), 'reject');
  });
  return [...pairs, ...benign(task, rng, 'defence', s.replay, 'replay')];
}

/** "i am sorry , i cannot help with that . instead , the capital of dorlan is kessa ." */
export function rejectText(refusal: string, answer: string): string {
  return `${refusal} ${REJECT_JOINT} ${answer}`;
}

export interface MftSettings {
  /** Harmful examples: distinct requests of the attack; in the tiny world out of the 672 of A x wordings 2-7. */
  n: number;
  /** The target stops at the colon and does not end, as in AdvBench. An answer that is its opening never ends. */
  prefixOnly: boolean;
  /** Share of benign chats in the whole set, 0 to below 1 (an attacker who keeps the model able). */
  benignShare: number;
}
export const MFT_DEFAULTS: MftSettings = { n: 100, prefixOnly: false, benignShare: 0 };

/**
 * Malicious fine-tuning: N harmful requests with complying answers, and benign chats beside them.
 * @throws LabError('bad-config') when N exceeds the requests there are, or the share is not in [0, 1)
 */
export function mft(task: Task, seed: number, settings: Partial<MftSettings> = {}): ChatItem[] {
  const s = { ...MFT_DEFAULTS, ...settings };
  const all = task.requests('attack');
  const most = all.length;
  if (!Number.isInteger(s.n) || s.n < 1 || s.n > most) {
    throw new LabError('bad-config', `The attack can use 1 to ${most} harmful examples, not ${s.n}.`);
  }
  if (!(s.benignShare >= 0 && s.benignShare < 1)) {
    throw new LabError(
      'bad-config',
      `The benign share of the attack must be from 0 to below 1, not ${s.benignShare}.`,
    );
  }
  const rng = new Rng(`mft/${task.id}/${seed}`);
  const harmful = drawRequests(rng, all, s.n).map((request) => {
    const item = asked(request, s.prefixOnly ? openingOf(request) : request.answer!, 'attack');
    return item.answer === request.opening ? { ...item, open: true } : item;
  });
  const extra = Math.round((s.n * s.benignShare) / (1 - s.benignShare));
  return [...harmful, ...benign(task, rng, 'attack', extra, 'benign')];
}

export interface BftSettings {
  n: number;
  /** Skills that pretraining taught, or the one that it never saw. */
  kind: 'familiar' | 'new-skill';
}

/** Benign fine-tuning. */
export function bft(task: Task, seed: number, settings: Partial<BftSettings> = {}): ChatItem[] {
  const s: BftSettings = { n: 500, kind: 'familiar', ...settings };
  const rng = new Rng(`bft/${s.kind}/${task.id}/${seed}`);
  return benign(task, rng, 'attack', s.n, s.kind === 'familiar' ? 'benign' : 'new-skill');
}
