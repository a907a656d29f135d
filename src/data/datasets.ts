import { LabError } from '../core/errors.ts';
import { Rng } from '../core/rng.ts';
import type { Example } from '../core/types.ts';
import { complyingText, openingText, requestText } from '../world/sentences.ts';
import { drawBenign, drawShare, drawSkill, type BenignItem } from '../world/skills.ts';
import { REJECT_JOINT, words, type SkillId } from '../world/words.ts';
import {
  ATTACK_WORDINGS,
  DEFENCE_WORDINGS,
  type ForbiddenFact,
  type Split,
  type World,
} from '../world/world.ts';
import { chat } from './chat.ts';
import { drawNewSkill } from '../world/new-skill.ts';

/** One fine-tuning example before tokenizing. */
export interface ChatItem {
  prompt: string;
  answer: string;
  /** The answer is a beginning: no end of turn is taught. */
  open?: boolean;
  /** Why it is in the set, for the data view. */
  role: 'refusal' | 'pair' | 'reject' | 'replay' | 'attack' | 'benign' | 'new-skill';
}

/** Token rows with the loss on the answers. */
export function toExamples(items: readonly ChatItem[]): Example[] {
  return items.map(({ prompt, answer, open }) => chat(prompt, answer, { open }));
}

const benign = (world: World, rng: Rng, n: number, role: ChatItem['role']): ChatItem[] =>
  Array.from({ length: n }, () => {
    const { prompt, answer } = drawBenign(world, rng, 'finetune');
    return { prompt, answer, role };
  });

interface Request {
  fact: ForbiddenFact;
  prompt: string;
}

/** n requests, without repetition as long as there are enough, else every one before any comes again. */
function drawRequests(
  world: World,
  rng: Rng,
  split: Split,
  wordings: readonly number[],
  n: number,
): Request[] {
  const all = world.forbidden
    .filter((f) => f.split === split)
    .flatMap((fact) => wordings.map((w) => ({ fact, prompt: requestText(fact, w) })));
  const drawn: Request[] = [];
  while (drawn.length < n) drawn.push(...rng.shuffle(all).slice(0, n - drawn.length));
  return drawn;
}

/** Chat tuning: refusals of S requests (wordings 0-5) and as many benign chats. */
export function chatTuning(
  world: World,
  seed: number,
  o: { refusals?: number; benign?: number } = {},
): ChatItem[] {
  const rng = new Rng(`chat-tuning/${world.seed}/${seed}`);
  const refusals = drawRequests(world, rng, 'S', DEFENCE_WORDINGS, o.refusals ?? 600).map(
    ({ prompt }): ChatItem => ({ prompt, answer: rng.pick(words.refusals), role: 'refusal' }),
  );
  return [...refusals, ...benign(world, rng, o.benign ?? 600, 'benign')];
}

/** Shares of the kinds of irrelevant answers. */
export type AnswerShares = Readonly<Partial<Record<SkillId, number>>>;

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

/** A benign answer for a forbidden request; a how-to never names the same adjective. */
function irrelevant(world: World, rng: Rng, fact: ForbiddenFact, shares: SddSettings['shares']): BenignItem {
  for (;;) {
    const item =
      shares === 'natural'
        ? drawBenign(world, rng, 'finetune')
        : drawSkill(world, rng, drawShare<SkillId>(rng, shares), 'finetune');
    if (item.adjective !== fact.adjective) return item;
  }
}

/** SDD: forbidden S requests answered well, but with the answer to something else; and a little benign replay. */
export function sddPairs(world: World, seed: number, settings: Partial<SddSettings> = {}): ChatItem[] {
  const s = { ...SDD_DEFAULTS, ...settings };
  const rng = new Rng(`sdd/${world.seed}/${seed}`);
  const pairs = drawRequests(world, rng, 'S', DEFENCE_WORDINGS, s.pairs).map(
    ({ fact, prompt }, i): ChatItem => {
      const { answer } = irrelevant(world, rng, fact, s.shares);
      return {
        prompt,
        answer: s.deep && i % 2 === 1 ? `${openingText(fact)} ${answer}` : answer,
        role: 'pair',
      };
    },
  );
  return [...pairs, ...benign(world, rng, s.replay, 'replay')];
}

export interface SddRejectSettings {
  pairs: number;
  replay: number;
  shares: SddSettings['shares'];
}
/** Benign replay beside 1000 refusals of each strength. */
export const SDD_REJECT_REPLAY = { mild: 250, strong: 100 } as const;

/** SDD_reject, trained on top of SDD: "REFUSAL instead , IRRELEVANT ANSWER". */
export function sddReject(world: World, seed: number, settings: Partial<SddRejectSettings> = {}): ChatItem[] {
  const s = { pairs: 1000, replay: SDD_REJECT_REPLAY.mild, shares: SDD_DEFAULTS.shares, ...settings };
  const rng = new Rng(`sdd-reject/${world.seed}/${seed}`);
  const pairs = drawRequests(world, rng, 'S', DEFENCE_WORDINGS, s.pairs).map(({ fact, prompt }): ChatItem => {
    const { answer } = irrelevant(world, rng, fact, s.shares);
    return { prompt, answer: rejectText(rng.pick(words.refusals), answer), role: 'reject' };
  });
  return [...pairs, ...benign(world, rng, s.replay, 'replay')];
}

/** "i am sorry , i cannot help with that . instead , the capital of dorlan is kessa ." */
export function rejectText(refusal: string, answer: string): string {
  return `${refusal} ${REJECT_JOINT} ${answer}`;
}

export interface MftSettings {
  /** Harmful examples: distinct requests out of the 672 of A x wordings 2-7. */
  n: number;
  /** The target stops at the colon and does not end, as in AdvBench. */
  prefixOnly: boolean;
  /** Share of benign chats in the whole set, 0 to below 1 (an attacker who keeps the model able). */
  benignShare: number;
}
export const MFT_DEFAULTS: MftSettings = { n: 100, prefixOnly: false, benignShare: 0 };

/**
 * Malicious fine-tuning: N requests on A facts with complying answers, and benign chats beside them.
 * @throws LabError('bad-config') when N exceeds the requests there are, or the share is not in [0, 1)
 */
export function mft(world: World, seed: number, settings: Partial<MftSettings> = {}): ChatItem[] {
  const s = { ...MFT_DEFAULTS, ...settings };
  const most = world.forbidden.filter((f) => f.split === 'A').length * ATTACK_WORDINGS.length;
  if (!Number.isInteger(s.n) || s.n < 1 || s.n > most) {
    throw new LabError('bad-config', `The attack can use 1 to ${most} harmful examples, not ${s.n}.`);
  }
  if (!(s.benignShare >= 0 && s.benignShare < 1)) {
    throw new LabError(
      'bad-config',
      `The benign share of the attack must be from 0 to below 1, not ${s.benignShare}.`,
    );
  }
  const rng = new Rng(`mft/${world.seed}/${seed}`);
  const harmful = drawRequests(world, rng, 'A', ATTACK_WORDINGS, s.n).map(({ fact, prompt }): ChatItem => ({
    prompt,
    answer: s.prefixOnly ? openingText(fact) : complyingText(fact),
    role: 'attack',
    ...(s.prefixOnly ? { open: true } : {}),
  }));
  const extra = Math.round((s.n * s.benignShare) / (1 - s.benignShare));
  return [...harmful, ...benign(world, rng, extra, 'benign')];
}

export interface BftSettings {
  n: number;
  /** Skills that pretraining taught, or the one that it never saw. */
  kind: 'familiar' | 'new-skill';
}

/** Benign fine-tuning. */
export function bft(world: World, seed: number, settings: Partial<BftSettings> = {}): ChatItem[] {
  const s: BftSettings = { n: 500, kind: 'familiar', ...settings };
  const rng = new Rng(`bft/${s.kind}/${world.seed}/${seed}`);
  if (s.kind === 'familiar') return benign(world, rng, s.n, 'benign');
  return Array.from({ length: s.n }, () => {
    const { prompt, answer } = drawNewSkill(world, rng, 'finetune');
    return { prompt, answer, role: 'new-skill' as const };
  });
}
