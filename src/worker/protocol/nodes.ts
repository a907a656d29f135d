/** Checkpoints of the family tree, what was measured on them, and the recipes that make them. */
import type { KernelTable } from '../../core/kernel-table.ts';
import type { RunCost } from '../../core/run-cost.ts';
import type { SettingField, Settings } from '../../core/settings.ts';
import type { VerdictKind } from '../../core/verdicts.ts';
import type { AdapterSummary } from './device.ts';
import type { MemoryPlan } from './memory.ts';
import type { NodeLook } from './looks.ts';
import type { OpenedModel } from './models.ts';
import type { PromptsRef } from './prompts.ts';

/** The models that ship with the lab. */
export const EMBEDDED_MODELS = ['tiny-chat', 'tiny-base'] as const;
export type EmbeddedName = (typeof EMBEDDED_MODELS)[number];

/** `imported`: an adapter that was trained elsewhere. */
export type NodeKind = 'base' | 'imported' | TrainedKind;
export type TrainedKind = 'defence' | 'attack' | 'benign';

export type { SettingField, Settings, SettingValue } from '../../core/settings.ts';

/** Seeds are kept apart: a result is a claim about a world, a defence and an attack. */
export interface Seeds {
  world: number;
  defence: number;
  attack: number;
}

export { VERDICTS, type VerdictKind } from '../../core/verdicts.ts';
export type VerdictCounts = Record<VerdictKind, number>;

/** The judge's finding on one answer. */
export interface VerdictInfo {
  kind: VerdictKind;
  /** Why, in words. */
  reason: string;
  sub?: 'deflection';
}

/** Held-out prompts: V is the split on which things are chosen, T is only ever reported. */
export type EvalSet = 'V' | 'T';
/** What the page judges on unless asked otherwise, and what it calls held out: nothing was ever chosen on it. */
export const HELD_OUT = 'T' satisfies EvalSet;

export interface SkillScore {
  skill: string;
  correct: number;
  n: number;
}

export interface BenignScore {
  /** Unweighted mean over the skills, 0..1. */
  mean: number;
  skills: SkillScore[];
}

export interface NewSkillScore {
  correct: number;
  n: number;
}

/** The result of judging a node's greedy answers on a held-out set. */
export interface Evaluation {
  nodeId: string;
  set: EvalSet;
  /** How many forbidden prompts were asked; less than the whole set in a quick look. */
  n: number;
  quick: boolean;
  counts: VerdictCounts;
  /** Complied, with Wilson's 95 % interval. */
  strict: Rate;
  /** Complied, attempted and leak together. */
  broad: Rate;
  benign: BenignScore | null;
  /** Exact answers in the skill that only harmless training teaches; asked together with the benign skills. */
  newSkill: NewSkillScore | null;
  /** Every answer, so that the page can show what the bars are made of. */
  answers: JudgedAnswer[];
  /** Who gave the verdicts, with its version, and SHA-256 of the protocol's text then; absent in older evaluations. */
  judge?: string;
  protocol?: string;
  /** GPU that answered; absent in older evaluations. */
  adapter?: string;
  /** The everyday tasks that were asked for have not come: it was stopped or failed, and goes on when it is asked for again. */
  partial?: true;
  seconds: number;
  createdAt: number;
}

/** k of n with a 95 % interval; all but n in 0..1. */
export interface Rate {
  value: number;
  low: number;
  high: number;
  n: number;
}

export interface JudgedAnswer {
  prompt: string;
  answer: string;
  /** Which fact of which category was asked for, and log p of each token of the answer; absent in older evaluations. */
  fact?: number;
  category?: number;
  logprobs?: number[];
  /** The model ended its turn; absent in older evaluations. */
  ended?: boolean;
  verdict: VerdictInfo;
}

/** A checkpoint of the family tree. Weights are stored apart and never cross to the page. */
export interface LabNode {
  id: string;
  parentId: string | null;
  name: string;
  kind: NodeKind;
  /** Recipe id; null for an embedded model. */
  recipe: string | null;
  settings: Settings;
  seeds: Seeds;
  /** Optimizer steps from the parent. */
  steps: number;
  /** The run that wrote it; nodes of one run (20, 50, 100 steps) share it and their parent. */
  runId: string | null;
  /** SHA-256 (hex) of the training data's token ids and labels in order; '' for an embedded model. */
  dataDigest: string;
  /** What its run had taken when it was saved; absent in older nodes, and in those that no run here made. */
  cost?: RunCost;
  /** SHA-256 (hex) of the weights file that an embedded model was read from; absent in all other nodes. */
  fileDigest?: string;
  /** SHA-256 (hex) of the f32 weights as stored. */
  weightsDigest: string;
  weightsBytes: number;
  /** Where the store keeps them. */
  weightsKey: string;
  adapter: AdapterSummary | null;
  engineVersion: string;
  /** Of older nodes in another form. */
  kernelTable: KernelTable | null;
  /** What the stored weights are: an adapter of this form on top of the parent; absent: the whole model. */
  lora?: { r: number; alpha: number; targets: readonly string[] };
  /** A model or an adapter that came with the mark of an attack. */
  attacked?: boolean;
  /** Its adapter is the parent's, trained on: it stands in the place of the parent's, not on top of it. */
  continues?: boolean;
  /** config.json of the model, in Hugging Face's form. */
  modelConfig: unknown;
  /**
   * Which embedded model is the root of its line: it says which tokenizer and world apply. Null: a model that the user
   * opened, with a tokenizer of its own and outside of the world.
   */
  root: EmbeddedName | null;
  /** The prompts file that it was trained on; of nodes of such a line. */
  prompts?: PromptsRef;
  /** Longest row in tokens that it was trained on, where its user chose one. */
  context?: number;
  /** Of the root of such a line. */
  opened?: OpenedModel;
  createdAt: number;
  /** The latest evaluation of each set, without its answers; absent until evaluated. */
  verdicts?: Partial<Record<EvalSet, NodeVerdicts>>;
  benign?: BenignScore;
  newSkill?: NewSkillScore;
  /** The latest look of an opened model's line for each prompts file, by its id. */
  looks?: Readonly<Record<string, NodeLook>>;
  /** What trained it elsewhere: name of the base model there. */
  trainedOn?: string;
}

/** Whether an attack made this very node, here or elsewhere; what stands on it counts as well. */
export const madeByAttack = ({ kind, attacked }: Pick<LabNode, 'kind' | 'attacked'>): boolean =>
  kind === 'attack' || attacked === true;

export interface NodeVerdicts {
  n: number;
  quick: boolean;
  counts: VerdictCounts;
  strict: Rate;
  broad: Rate;
}

/** A recipe as the page offers it. Title and help come from the message catalogue under the id. */
export interface RecipeInfo {
  id: string;
  kind: TrainedKind;
  settings: SettingField[];
  /** Steps with the default settings. */
  steps: number;
  /** Recipes whose result this one wants to start from; absent: any model. */
  startsFrom?: readonly string[];
  /** Constant learning rate: 20 steps and then 30 more are the same run as 50. */
  continuable: boolean;
}

export interface Estimate {
  steps: number;
  /** Measured on this adapter; null where nothing was tried, since it does not fit or the weights are not at hand. */
  seconds: number | null;
  /** Planned, not measured. */
  memory: MemoryPlan;
  /** Disk space of each node it saves. */
  nodeBytes: number;
  /** Steps that it keeps for the scrubber, what they take together, and what all of the schedule would take. */
  keep: { steps: number; bytes: number; wanted: number };
  /** Training rows that are longer than `memory.context` and lose their end. */
  cut: number;
  /** Pairs of rows that are left out, because one of the two is longer. */
  dropped: number;
}
