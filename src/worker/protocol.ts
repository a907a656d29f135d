/**
 * What the page and the engine worker say to each other. Types and small constants only: this file is imported by both
 * sides and pulls in neither the engine nor the page.
 *
 * Three kinds of traffic:
 * - a *request* with an id gets exactly one *result* or *error*, and before it any number of *events* (streams);
 * - `cancel` ends a request early: it then answers with the error code 'cancelled';
 * - *notices* belong to no request: training runs outlive the request that started them, and nodes change under way.
 *
 * Everything here survives structured clone. Times are milliseconds since 1970 unless a name says otherwise.
 */

// ---------------------------------------------------------------------------------------------------------- errors

/** An error as it crosses the boundary: what happened, what is safe, what to do next; plain words in English. */
export interface ErrorInfo {
  code: string;
  what: string;
  safe: string;
  next: string;
}

// ------------------------------------------------------------------------------------------------------- the device

export interface AdapterSummary {
  vendor: string;
  architecture: string;
  description: string;
  /** Lanes of a subgroup; 0 where the adapter has none or does not fix the size. */
  subgroupSize: number;
}

export interface Capabilities {
  adapter: AdapterSummary;
  /** WebGPU features of the opened device. */
  features: string[];
  /** Limits of the opened device, by their WebGPU names. */
  limits: Record<string, number>;
  /** The chosen kernels; part of a run's configuration. */
  kernelTable: Record<string, unknown>;
  engineVersion: string;
  /** True where the adapter is a software renderer: the page says that it will be slow. */
  software: boolean;
}

/** GPU memory and objects held by the engine, and the disk space of the origin. */
export interface MemoryInfo {
  gpuBytes: number;
  gpuBuffers: number;
  pipelines: number;
  bindGroups: number;
  /** Names of the models that are on the GPU now. */
  resident: string[];
  storage: StorageInfo;
}

export interface StorageInfo {
  usedBytes: number;
  /** 0 where the browser does not tell. */
  quotaBytes: number;
  /** True when the browser promised not to evict the data on its own. */
  persisted: boolean;
}

// -------------------------------------------------------------------------------------------------- models and nodes

/** The models that ship with the lab. */
export const EMBEDDED_MODELS = ['tiny-chat', 'tiny-base'] as const;
export type EmbeddedName = (typeof EMBEDDED_MODELS)[number];

export type NodeKind = 'base' | 'defence' | 'attack' | 'benign';

/** One value of a recipe's settings. */
export type SettingValue = number | boolean | string;
export type Settings = Record<string, SettingValue>;

/** Seeds are kept apart: a result is a claim about a world, a defence and an attack. */
export interface Seeds {
  world: number;
  defence: number;
  attack: number;
}

export type VerdictKind = 'refused' | 'complied' | 'leak' | 'attempted' | 'irrelevant' | 'degraded';
export const VERDICT_KINDS: readonly VerdictKind[] = [
  'refused',
  'complied',
  'leak',
  'attempted',
  'irrelevant',
  'degraded',
];
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
  /** SHA-256 (hex) of the weights file that an embedded model was read from; absent where training made the node. */
  fileDigest?: string;
  /** SHA-256 (hex) of the f32 weights as stored. */
  weightsDigest: string;
  weightsBytes: number;
  /** Where the store keeps them. */
  weightsKey: string;
  adapter: AdapterSummary | null;
  engineVersion: string;
  kernelTable: Record<string, unknown> | null;
  /** What the stored weights are: an adapter of this form on top of the parent; absent: the whole model. */
  lora?: { r: number; alpha: number; targets: readonly string[] };
  /** config.json of the model, in Hugging Face's form. */
  modelConfig: unknown;
  /** Which embedded model is the root of its line: it says which tokenizer and world apply. */
  root: EmbeddedName;
  createdAt: number;
  /** The latest evaluation of each set, without its answers; absent until evaluated. */
  verdicts?: Partial<Record<EvalSet, NodeVerdicts>>;
  benign?: BenignScore;
  newSkill?: NewSkillScore;
}

export interface NodeVerdicts {
  n: number;
  quick: boolean;
  counts: VerdictCounts;
  strict: Rate;
  broad: Rate;
}

// ----------------------------------------------------------------------------------------------------------- recipes

export interface SettingField {
  key: string;
  type: 'number' | 'boolean' | 'choice';
  default: SettingValue;
  min?: number;
  max?: number;
  step?: number;
  choices?: readonly string[];
  /** Shown at once (false: behind 'more'). */
  main: boolean;
  /** The default where the run trains an adapter instead of all weights. */
  loraDefault?: SettingValue;
}

/** A recipe as the page offers it. Title and help come from the message catalogue under the id. */
export interface RecipeInfo {
  id: string;
  kind: Exclude<NodeKind, 'base'>;
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
  seconds: number;
  gpuBytes: number;
  /** Disk space of each node it saves. */
  nodeBytes: number;
}

// -------------------------------------------------------------------------------------------------------------- runs

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
  /** Attacks: mean loss of the complying answers to the forbidden probes. Defences, benign: of held-out benign answers. */
  heldOutLoss: number;
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
}

export interface RunInfo {
  id: string;
  parentId: string;
  recipe: string;
  kind: Exclude<NodeKind, 'base'>;
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

// -------------------------------------------------------------------------------------------------------------- chat

export interface Sampling {
  /** 0 = greedy. */
  temperature: number;
  topK: number;
  topP: number;
  seed: number;
  maxNewTokens: number;
  /** Alternatives reported per token, at most 8. */
  alternatives: number;
}

export const GREEDY: Sampling = {
  temperature: 0,
  topK: 0,
  topP: 1,
  seed: 0,
  maxNewTokens: 40,
  alternatives: 4,
};

export interface TokenView {
  id: number;
  /** As shown, with the space before it where one belongs. */
  text: string;
  /** Natural logarithm of the probability that the model gave it. */
  logprob: number;
  alternatives: { text: string; logprob: number }[];
}

export type GenerateEvent =
  | { type: 'token'; nodeId: string; index: number; token: TokenView }
  | { type: 'done'; nodeId: string; answer: NodeAnswer };

export interface NodeAnswer {
  nodeId: string;
  prompt: string;
  text: string;
  tokens: TokenView[];
  /** The model ended its turn; false where the answer was cut at the limit. */
  ended: boolean;
  /** Null where the judge has no opinion (a prompt that the world does not know). */
  verdict: VerdictInfo | null;
  /** Which judge gave it, and how the text was made. */
  judge: 'exact-rules';
  greedy: boolean;
}

/** The world's words and prompts, for the prompt picker and the sentence builder. */
export interface WorldInfo {
  seed: number;
  /** Words that the models know. */
  vocabulary: string[];
  categories: PromptCategory[];
}

export interface PromptCategory {
  /** 'forbidden/open-vault', 'benign/capital', ... */
  id: string;
  forbidden: boolean;
  /** The category in the world's own words: 'open the ... vault'. */
  label: string;
  prompts: {
    text: string;
    /** The right answer, where there is one. */ reference: string | null;
    split: string;
  }[];
}

export interface PromptCheck {
  ok: boolean;
  unknown: { word: string; suggestions: string[] }[];
  tokens: number;
}

// ----------------------------------------------------------------------------------------------- checks and inspection

export interface KernelCheck {
  kernel: string;
  /** Awkward shapes, in words. */
  shape: string;
  /** Largest relative error against the float64 reference. */
  error: number;
  tolerance: number;
  ok: boolean;
  milliseconds: number;
}

export interface ShaderInfo {
  /** File name without folder and ending: '04_rope'. */
  name: string;
  source: string;
  /** Header comment of the file: the maths and the shapes. */
  doc: string;
  bindings: { group: number; binding: number; name: string; type: string }[];
  workgroupSize: string;
  /** How the kernel is dispatched, from the header. */
  dispatch: string;
}

export interface GoldenGroup {
  group: string;
  error: number;
  tolerance: number;
  ok: boolean;
}

export interface GoldenResult {
  name: string;
  /** Null when supported; otherwise the kind of case that this engine does not know. */
  unsupported: string | null;
  groups: GoldenGroup[];
  ok: boolean;
}

// ---------------------------------------------------------------------------------------------------------- requests

export interface Requests {
  /** Opens the store and the GPU. Fails in words (no-webgpu, no-adapter, newer-database). */
  init: {
    params: {
      /** Absolute URL of the folder that holds the embedded models, with a slash. */ modelsUrl: string;
    };
    result: InitResult;
    event: never;
  };
  /**
   * Fetches a model that ships with the lab; the node is stored and returned (the stored one when already there). Where
   * the lab has been given new weights since, they come as a root of their own: what was trained from the old ones stays.
   */
  loadEmbedded: {
    params: { name: EmbeddedName };
    result: LabNode;
    event: { loadedBytes: number; totalBytes: number };
  };
  nodes: { params: Record<string, never>; result: LabNode[]; event: never };
  node: { params: { nodeId: string }; result: LabNode; event: never };
  renameNode: { params: { nodeId: string; name: string }; result: LabNode; event: never };
  /** Deletes the node and all nodes below it; answers with their ids. */
  deleteNode: { params: { nodeId: string }; result: string[]; event: never };
  /** Weights of a node in Hugging Face layout (f32 or f16 safetensors with config and tokenizer beside it). */
  exportNode: {
    params: { nodeId: string; dtype: 'F32' | 'F16' };
    result: { files: { name: string; bytes: ArrayBuffer }[] };
    event: never;
  };
  recipes: { params: Record<string, never>; result: RecipeInfo[]; event: never };
  world: { params: Record<string, never>; result: WorldInfo; event: never };
  checkPrompt: { params: { prompt: string }; result: PromptCheck; event: never };

  estimate: { params: TrainParams; result: Estimate; event: never };
  /** Starts a run; progress comes as notices. One run trains at a time. */
  train: { params: TrainParams; result: RunInfo; event: never };
  control: { params: { runId: string; control: RunControl }; result: RunInfo; event: never };
  runs: { params: Record<string, never>; result: RunInfo[]; event: never };
  /** Loads an unfinished run after a reload; it stands paused at its last checkpoint. */
  reopenRun: { params: { runId: string }; result: RunInfo; event: never };
  /** Forgets an unfinished run; nodes that it saved stay. */
  discardRun: { params: { runId: string }; result: null; event: never };

  generate: {
    params: { nodeIds: string[]; prompt: string; sampling: Sampling };
    result: NodeAnswer[];
    event: GenerateEvent;
  };
  /** Greedy answers to a held-out set, judged; quick asks a fixed few and says so. */
  evaluate: {
    params: { nodeId: string; set: EvalSet; benign: boolean; quick: boolean };
    result: Evaluation;
    event: { done: number; total: number };
  };
  /** Stored evaluations of a node, newest first. */
  evaluations: { params: { nodeId: string }; result: Evaluation[]; event: never };

  /** Every kernel against the float64 reference: one check of each kind, or (full) all sizes. */
  selfCheck: {
    params: { full?: boolean };
    result: { ok: boolean; checks: KernelCheck[]; milliseconds: number };
    event: { check: KernelCheck; done: number; total: number };
  };
  shaders: { params: Record<string, never>; result: ShaderInfo[]; event: never };
  memory: { params: Record<string, never>; result: MemoryInfo; event: never };
  /** Runs a golden case folder given as files by name. */
  golden: {
    params: { name: string; files: Record<string, ArrayBuffer> };
    result: GoldenResult;
    event: never;
  };
  /** Frees every model and run on the GPU; runs are checkpointed first. Bytes in use afterwards. */
  releaseAll: { params: Record<string, never>; result: MemoryInfo; event: never };
  /** After device-lost: opens a new device; nodes and runs come from the store. */
  rebuild: { params: Record<string, never>; result: Capabilities; event: never };
}

export interface InitResult {
  /** Null where there is no usable GPU; `gpuError` then says why. The store works without one. */
  capabilities: Capabilities | null;
  gpuError: ErrorInfo | null;
  nodes: LabNode[];
  /** Runs that were interrupted (or can be continued), newest first. */
  runs: RunInfo[];
  storage: StorageInfo;
  /** What was cleaned up at start, in words; empty when nothing was. */
  swept: string[];
}

export interface TrainParams {
  parentNodeId: string;
  recipe: string;
  settings: Settings;
  seed: number;
  /** Node names are built from it; default from the recipe. */
  name?: string;
  /** Steps at which nodes are saved; the last one ends the run. Default: the recipe's steps. */
  saveAt?: number[];
  /** A probe every so many steps (also before the first and after the last). 0: none. Default from the recipe's length. */
  probeEvery?: number;
}

// --------------------------------------------------------------------------------------------------------- messages

export type Method = keyof Requests;
export type ParamsOf<M extends Method> = Requests[M]['params'];
export type ResultOf<M extends Method> = Requests[M]['result'];
export type EventOf<M extends Method> = Requests[M]['event'];

export type ToWorker =
  { type: 'request'; id: number; method: Method; params: unknown } | { type: 'cancel'; id: number };

export type Notice =
  | { type: 'run'; runId: string; event: RunEvent }
  | { type: 'run-gone'; runId: string }
  | { type: 'node'; node: LabNode }
  | { type: 'nodes-deleted'; nodeIds: string[] }
  /** The GPU went away (or an uncaptured GPU error came): nothing runs until `rebuild`. */
  | { type: 'device-lost'; error: ErrorInfo }
  /** Another tab opened a newer version of the lab; this one's store is closed. */
  | { type: 'store-closed'; error: ErrorInfo };

export type FromWorker =
  | { type: 'result'; id: number; result: unknown }
  | { type: 'error'; id: number; error: ErrorInfo }
  | { type: 'event'; id: number; event: unknown }
  | { type: 'notice'; notice: Notice };
