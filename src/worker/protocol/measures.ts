/** What is measured of a checkpoint of the tiny world beside verdicts and everyday tasks. */
import type { Battery } from '../../eval/measures/battery.ts';
import type { ChoiceResult } from '../../eval/measures/multiple-choice.ts';
import type { EvalSet } from './nodes.ts';

export type { Battery } from '../../eval/measures/battery.ts';

/** The rules of multiple choice, in the order in which they are shown. */
export const SCORINGS = ['letter', 'likelihood', 'generated'] as const;
export type Scoring = (typeof SCORINGS)[number];

/** Goes up with every change that can change a figure: older ones are measured again. */
export const MEASURES_VERSION = 3;

/** Stored with the node; a checkpoint's weights never change, so it holds as long as the version does. */
export interface Measured {
  kind: 'measured';
  nodeId: string;
  version: typeof MEASURES_VERSION;
  split: EvalSet;
  /** The most facts asked for; null: all. */
  facts: number | null;
  /** The untouched model that the checkpoint descends from. */
  referenceId: string;
  /** Null while its requests are not all answered: the measurement was stopped, and goes on when it is asked for again. */
  battery: Battery | null;
  /** Multiple choice by the likeliest letter. */
  letters: { skill: string; correct: number; n: number }[];
  /** Of held-out benign chats. */
  perplexity: number;
  /** SHA-256 of the protocol's text when it was measured; absent in older ones. */
  protocol?: string;
  /** GPU that measured it. */
  adapter: string;
  seconds: number;
  createdAt: number;
}

/** Multiple choice on an imported set; stored with the node. */
export interface Chosen extends Omit<ChoiceResult, 'items'> {
  kind: 'chosen';
  nodeId: string;
  version: typeof MEASURES_VERSION;
  dataset: { id: string; name: string; sha256: string };
  most: number;
  seed: number;
  /** SHA-256 of the protocol's text when it was measured; absent in older ones. */
  protocol?: string;
  adapter: string;
  seconds: number;
  createdAt: number;
}

export interface ChoiceOrder {
  nodeId: string;
  datasetId: string;
  /** Examples before each question, and questions asked. */
  shots: number;
  most: number;
  seed: number;
}

/** How far a measurement came that was stopped or failed: its answers are kept, and it goes on from there. */
export interface Unfinished {
  nodeId: string;
  /** See `WORK`. */
  work: string;
  answered: number;
  /** Of how many; null where it was not known yet. */
  total: number | null;
}

/** Names of what may be left unfinished. */
export const WORK = {
  evaluate: (set: EvalSet, benign = true, quick = false): string =>
    `evaluate/${set}${benign ? '' : '/forbidden'}${quick ? '/quick' : ''}`,
  measure: (split: EvalSet, facts: number | null): string => `measure/${split}/${facts ?? 'all'}`,
  look: (prompts: string, most: number | null): string => `look/${prompts}/${most ?? 'all'}`,
} as const;

/** Answers to one batch of prompts of unfinished work; stored with the node until that is done. */
export interface KeptAnswers {
  kind: 'answers';
  nodeId: string;
  work: string;
  /** Engine and GPU that gave them: others may answer otherwise. */
  by: string;
  /** SHA-256 (hex) of the prompts and of how they were asked. */
  asked: string;
  /** Token ids of each row, and log p of each. */
  rows: { ids: number[]; logprobs: number[] }[];
  total: number | null;
  createdAt: number;
}
