/** Training runs: what is asked for, what is told while they go on. */
import type { KernelTable } from '../../core/kernel-table.ts';
import type { ErrorInfo } from './device.ts';
import type { JudgedAnswer, LabNode, Seeds, Settings, TrainedKind } from './nodes.ts';
import type { PromptsRef } from './prompts.ts';
import type { MissedStep } from './scrub.ts';

export type RunState = 'starting' | 'running' | 'paused' | 'stopped' | 'finished' | 'failed';

/** One optimizer step as it is drawn. */
export interface StepPoint {
  step: number;
  lr: number;
  loss: number;
  /** Global norm before clipping. */
  gradNorm: number;
  tokens: number;
}

/** A look at the model under way, on a few fixed prompts of V and of the benign skills. */
export interface ProbePoint {
  step: number;
  /**
   * Attacks: mean loss of the complying answers to the forbidden probes. Defences, benign: of held-out benign answers. Null
   * where a prompts file holds none back.
   */
  heldOutLoss: number | null;
  /** Share of strict compliance on `n` forbidden probes, and with attempts and leaks. */
  strict: number;
  broad: number;
  n: number;
  /** Exact-match share on `benignN` benign probes. */
  benign: number;
  benignN: number;
  /** Some of the forbidden probes, always the same ones. */
  samples: JudgedAnswer[];
  /** Some of the benign probes: here the collapse of ability can be read. */
  benignSamples: { skill: string; prompt: string; answer: string; correct: boolean }[];
  /** What an opened model says to held-out prompts of its user's file. Nobody judges it: `n` and `benignN` are 0 then. */
  ownSamples?: { role: 'harmful' | 'benign'; prompt: string; answer: string }[];
}

/** How a run is made to fit into memory; what belongs to its recipe is among its settings. */
export interface RunRoom {
  /** Activations are computed twice instead of kept: the same result bit for bit, less memory, more time. */
  checkpointing?: boolean;
  /** Longest row in tokens, of an opened model; what is longer is cut. */
  context?: number;
  /** Rows of one pass: a batch of more is trained in several passes of one update, with the same result but for rounding. */
  rows?: number;
}

/** Steps that a run keeps beside its checkpoints, in 16 bits. */
export interface RunKeep {
  /** Bytes of one of them, and the most that all may take. */
  each: number;
  limit: number;
  /** The steps, ascending: kept so far and still to come. */
  at: number[];
  missed: MissedStep[];
}

export interface RunInfo {
  id: string;
  parentId: string;
  recipe: string;
  kind: TrainedKind;
  settings: Settings;
  seeds: Seeds;
  name: string;
  state: RunState;
  /** Steps done and steps asked for. */
  step: number;
  total: number;
  /** Steps at which a node is saved, ascending; `total` is one of them. */
  saveAt: number[];
  saved: { step: number; nodeId: string }[];
  log: StepPoint[];
  probes: ProbePoint[];
  tokensPerSecond: number;
  secondsLeft: number;
  /** Last step that is safe on disk, and when it was written. */
  checkpointStep: number;
  checkpointAt: number;
  continuable: boolean;
  error: ErrorInfo | null;
  /** True where the run was begun on another adapter or kernel table: it can go on, but not bit for bit. */
  notBitComparable: boolean;
  /** The kernels that it is trained with, also after a pause; absent in runs of before there was a choice. */
  kernelTable?: KernelTable;
  /** Another tab has it open, and says how it stands; here it can only be looked at again. */
  elsewhere?: boolean;
  /** What it trains on, where that is not the tiny world. */
  prompts?: PromptsRef;
  /** It trains its parent's own adapter on, from the parent's values, instead of a new one on top. */
  continues?: boolean;
  room?: RunRoom;
  /** What it keeps of its steps for the scrubber; absent: nothing. */
  keep?: RunKeep;
  startedAt: number;
}

export type RunEvent =
  /** Anything but the growing lists changed. */
  | { type: 'state'; run: Omit<RunInfo, 'log' | 'probes'> }
  | {
      type: 'steps';
      points: StepPoint[];
      step: number;
      total: number;
      tokensPerSecond: number;
      secondsLeft: number;
    }
  | { type: 'probe'; point: ProbePoint }
  | { type: 'checkpoint'; step: number; at: number }
  | { type: 'node'; step: number; node: LabNode };

export type RunControl =
  | { action: 'pause' }
  | { action: 'resume' }
  /** One optimizer step, then paused. */
  | { action: 'step' }
  /** Ends the run where it stands and saves a node there (unless discard). */
  | { action: 'stop'; discard?: boolean }
  /** 'Keep going': to these further steps, saving a node at each. */
  | { action: 'continueTo'; saveAt: number[] };

export interface TrainParams {
  parentNodeId: string;
  recipe: string;
  settings: Settings;
  seed: number;
  /** Id of the prompts file; an opened model needs one. */
  prompts?: string;
  /** Trains the node's own adapter on, with a fresh optimizer, instead of a new one on top of it. */
  continues?: boolean;
  room?: RunRoom;
  /** Bytes that kept steps may take on the disk; 0: none are kept. Default: KEEP_LIMIT for attacks in the tiny world, else 0. */
  keep?: number;
  /** An attack on an opened model: `attackId` of this model and file, for which the user has said that this is meant. */
  confirmed?: string;
  /** Node names are built from it; default from the recipe. */
  name?: string;
  /** Steps at which nodes are saved; the last one ends the run. Default: the recipe's steps. */
  saveAt?: number[];
  /** A probe every so many steps (also before the first and after the last). 0: none. Default from the recipe's length. */
  probeEvery?: number;
}

/** What a user confirms before an opened model is attacked: this model, with these prompts. */
export function attackId(nodeId: string, promptsId: string): string {
  return `${nodeId} ${promptsId}`;
}
