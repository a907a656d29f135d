/** Moving through an attack step by step, and looking at the tokens of an answer. */
import type { Openings } from '../../eval/openings.ts';
import type { PackedSight, TokenSight } from '../../core/sights.ts';
import type { Settings } from '../../core/settings.ts';
import type { StepLook, WatchedAnswer } from '../../eval/watch.ts';
import type { ErrorInfo } from './device.ts';
import type { NodeAnswer } from './chat.ts';
import type { EmbeddedName } from './nodes.ts';
import type { ProbePoint } from './runs.ts';

export type { Openings } from '../../eval/openings.ts';
export type { TokenSight } from '../../core/sights.ts';
export type { StepLook, WatchedAnswer, WatchedBenign } from '../../eval/watch.ts';

/** A step that was to be kept and is not there. */
export interface MissedStep {
  step: number;
  error: ErrorInfo;
}

/** What a run leaves with each of its checkpoints for the scrubber. */
export interface KeptAttack {
  kind: 'kept';
  nodeId: string;
  runId: string;
  probes: ProbePoint[];
  missed: MissedStep[];
  createdAt: number;
}

/** Where the weights of a step come from. */
export interface ScrubStep {
  step: number;
  /** The model that was attacked, a kept step in 16 bits, or a checkpoint's own weights. */
  from: 'parent' | 'snapshot' | 'node';
  nodeId?: string;
}

/** A training run that one can move through. */
export interface ScrubAttack {
  runId: string;
  parentId: string;
  parentName: string;
  name: string;
  recipe: string;
  /** Null: on an opened model, which nobody judges. */
  root: EmbeddedName | null;
  /** Ascending, step 0 first. */
  steps: ScrubStep[];
  /** How many of them were kept between its checkpoints, and what these take on the disk. */
  kept: number;
  bytes: number;
  missed: MissedStep[];
  probes: ProbePoint[];
  createdAt: number;
}

/** What a model at one step says to one prompt. */
export interface ScrubAnswer extends Omit<NodeAnswer, 'nodeId' | 'tokens'> {
  /** Its tokens; the other models are the first and the last step of the attack. */
  tokens: TokenSight[];
  /** Null where nobody knows how answers of each kind begin. */
  openings: Openings | null;
}

/** Stored with the run's checkpoint, so that a step is not asked the same twice. */
export interface Scrubbed {
  kind: 'scrubbed';
  version: typeof SCRUB_VERSION;
  nodeId: string;
  runId: string;
  step: number;
  /** The attack's last step then. */
  last: number;
  answer?: ScrubAnswer;
  look?: StepLook;
  createdAt: number;
}

/** Goes up with every change that can change what a step is said to answer. */
export const SCRUB_VERSION = 1;

/** Probabilities of one text's tokens under several models. */
export interface TokenInspection {
  tokens: TokenSight[];
  /** Models whose words are others: their probabilities are null, with the reason. */
  apart: { nodeId: string; why: 'tokenizer' | 'gone' | 'failed' }[];
}

/** An attack that ships with the lab as what it answered, for replaying it without a GPU; `npm run record` writes it. */
export interface RecordedAttack {
  version: 1;
  /** The shipped model, and the defence that it was given before the attack. */
  model: EmbeddedName;
  defence: string | null;
  attack: string;
  settings: Settings;
  seeds: { world: number; defence: number; attack: number };
  adapter: string;
  /** YYYY-MM-DD. */
  date: string;
  /** Of the repository, and digest of the code that decides figures. */
  commit: string;
  code: string;
  prompts: { text: string; forbidden: boolean }[];
  /** Prompts of the looks. */
  asked: { forbidden: string[]; benign: { skill: string; prompt: string }[] };
  steps: RecordedStep[];
}

export interface RecordedStep {
  step: number;
  /** One for each prompt. */
  answers: RecordedAnswer[];
  /** Answers and verdicts in the order of `asked`. */
  forbidden: { answer: string; verdict: WatchedAnswer['verdict'] }[];
  benign: { answer: string; correct: boolean; hijacked: boolean }[];
}

export type RecordedAnswer = Omit<ScrubAnswer, 'tokens' | 'prompt' | 'text'> & { tokens: PackedSight[] };
