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
import type { InitResult } from './protocol/init.ts';
import type { ArchiveContents, ArchiveMade, ArchiveOrder, ArchiveProgress } from './protocol/archive.ts';
import type { AuditResult, AuditSheet, CoarseKind } from './protocol/audit.ts';
import type { GenerateEvent, NodeAnswer, PromptCheck, Sampling, WorldInfo } from './protocol/chat.ts';
import type { GoldenResult, KernelCheck, ShaderInfo, StepProfile } from './protocol/checks.ts';
import type { Capabilities, ErrorInfo, Kernels, MemoryInfo } from './protocol/device.ts';
import type { JudgeCalibration } from '../core/llm-judge.ts';
import type { CrossCheck, LlmEvent, LlmList, LlmScores, ReferenceAnswer } from './protocol/llm.ts';
import type { Look } from './protocol/looks.ts';
import type { DataFile, DataInspection, DataProgress, DataRow, DatasetInfo } from './protocol/data.ts';
import type {
  ConflictOrder,
  InsightName,
  InsightProgress,
  LandscapeOrder,
  StoredInsight,
} from './protocol/insights.ts';
import type { ChoiceOrder, Chosen, Measured, Unfinished } from './protocol/measures.ts';
import type { MemoryPlan } from './protocol/memory.ts';
import type {
  DownloadProgress,
  HubModel,
  KeptDownload,
  LocalSource,
  ModelSource,
} from './protocol/models.ts';
import type { EmbeddedName, Estimate, EvalSet, Evaluation, LabNode, RecipeInfo } from './protocol/nodes.ts';
import type {
  PairDefaults,
  PairForm,
  PairOrder,
  PairProgress,
  PairRequest,
  PairsAgain,
  Pair,
  PairsView,
} from './protocol/pairs.ts';
import type { PromptsInfo } from './protocol/prompts.ts';
import type { RunControl, RunEvent, RunInfo, TrainParams } from './protocol/runs.ts';
import type { ScrubAnswer, ScrubAttack, StepLook, TokenInspection } from './protocol/scrub.ts';
import type {
  BundleProgress,
  BundleResult,
  BundleTarget,
  BundleType,
  CachedModel,
  StockLibraries,
} from './protocol/webllm.ts';

export * from './protocol/audit.ts';
export * from './protocol/device.ts';
export * from './protocol/nodes.ts';
export * from './protocol/init.ts';
export * from './protocol/insights.ts';
export * from './protocol/llm.ts';
export * from './protocol/looks.ts';
export * from './protocol/measures.ts';
export * from './protocol/memory.ts';
export * from './protocol/models.ts';
export * from './protocol/data.ts';
export * from './protocol/pairs.ts';
export * from './protocol/prompts.ts';
export * from './protocol/runs.ts';
export * from './protocol/scrub.ts';
export * from './protocol/webllm.ts';
export * from './protocol/chat.ts';
export * from './protocol/checks.ts';

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
  /**
   * Opens a model in Hugging Face's layout, checks it and loads it onto the GPU; its root node is stored and returned (the
   * stored one where the same model is known already). With `nodeId`: the files of that node again.
   */
  openModel: {
    params: { source: ModelSource; nodeId?: string };
    result: LabNode;
    event: { loadedBytes: number; totalBytes: number };
  };
  /** The folder that an opened model was read from, for the page to ask its user; null where there is none. */
  modelFolder: { params: { nodeId: string }; result: FileSystemDirectoryHandle | null; event: never };
  /** Looks up a model at Hugging Face (`owner/name`, `owner/name@revision`); an unsupported one is refused by name. */
  findModel: { params: { name: string }; result: HubModel; event: never };
  /** Fetches a model that was looked up, or goes on with one that is kept; to pause it, cancel it. */
  download: { params: { id: string }; result: null; event: DownloadProgress };
  /** Downloads that no node stands on. */
  downloads: { params: Record<string, never>; result: KeptDownload[]; event: never };
  deleteDownload: { params: { id: string }; result: null; event: never };
  nodes: { params: Record<string, never>; result: LabNode[]; event: never };
  node: { params: { nodeId: string }; result: LabNode; event: never };
  renameNode: { params: { nodeId: string; name: string }; result: LabNode; event: never };
  /** Deletes the node and all nodes below it; answers with their ids. */
  deleteNode: { params: { nodeId: string }; result: string[]; event: never };
  /**
   * What was trained or answered elsewhere: an adapter in PEFT's layout becomes a node under the given one, and answers of a
   * handoff are looked at and stand with it; without an adapter, with the given node. Answers with the node that it is about.
   */
  bringBack: { params: { nodeId: string; source: LocalSource }; result: LabNode; event: never };
  /**
   * A recipe's data and hyper-parameters as a folder for trainers on several GPUs, on top of `base`. An attack leaves, as line
   * numbers, only when `confirm` is the node's name, typed by its user.
   */
  handoff: {
    params: { run: TrainParams; base: string; gpus: number; confirm?: string };
    result: { files: { path: string; text: string }[] };
    event: never;
  };
  /**
   * Weights of a node in Hugging Face layout (f32 or f16 safetensors with config and tokenizer beside it), and its adapter in
   * PEFT's. Of large opened models the adapter alone. What an attack made of an opened model leaves only when `confirm` is the
   * node's name, typed by its user.
   */
  exportNode: {
    params: { nodeId: string; dtype: 'F32' | 'F16'; confirm?: string };
    result: { files: { name: string; bytes: ArrayBuffer }[] };
    event: never;
  };
  /** Checkpoints with all that stands with them, as one file. @throws 'cancelled'; nothing is left of a file that was not finished */
  keepCopy: { params: ArchiveOrder; result: ArchiveMade; event: ArchiveProgress };
  /** What such a file would bring; nothing is written. */
  lookInCopy: { params: { file: Blob }; result: ArchiveContents; event: never };
  /** Takes a file in, whole or not at all. The nodes that are new. */
  takeCopy: { params: { file: Blob }; result: { nodes: LabNode[] }; event: ArchiveProgress };
  /**
   * A node of a large opened model as a whole model in Hugging Face's layout, with its adapters folded in: a new folder inside of
   * the given one, whose name is answered. `confirm` as for exportNode.
   */
  exportFolder: {
    params: { nodeId: string; folder: FileSystemDirectoryHandle; confirm?: string };
    result: { folder: string; files: string[] };
    event: { loadedBytes: number; totalBytes: number };
  };
  /**
   * A node as an MLC bundle for WebLLM, with its adapters folded in. Held against WebLLM's model library before anything is written.
   * `confirm` as for exportNode.
   */
  exportMlc: {
    params: { nodeId: string; dtype: BundleType; target: BundleTarget; confirm?: string };
    result: BundleResult;
    event: BundleProgress;
  };
  /** What of WebLLM's own list has a library that runs a node. */
  stockLibraries: { params: { nodeId: string }; result: StockLibraries; event: never };
  /** Models in WebLLM's cache of this browser: the lab's own bundles, and what WebLLM fetched. */
  webllmModels: { params: Record<string, never>; result: CachedModel[]; event: never };
  /** Deletes a bundle of the lab from WebLLM's cache; answers with what is left. */
  deleteBundle: { params: { url: string }; result: CachedModel[]; event: never };
  /** The recipes, with the defaults that suit a node and a prompts file where these are named. */
  recipes: { params: { nodeId?: string; prompts?: string }; result: RecipeInfo[]; event: never };
  /** Checks a prompts file and keeps it in this browser. */
  keepPrompts: { params: { name: string; file: Blob }; result: PromptsInfo; event: never };
  prompts: { params: Record<string, never>; result: PromptsInfo[]; event: never };
  /** Deletes a prompts file from this browser, unless a run that is not finished trains on it. Answers with those that stay. */
  deletePrompts: { params: { id: string }; result: PromptsInfo[]; event: never };
  /** Looks at a data file: its layout, its mapping, its first rows; a small one is read to its end and counted. */
  inspectData: { params: DataFile; result: DataInspection; event: DataProgress };
  /** Reads a data file to its end and keeps its rows; `known`: the same file was imported in the same way before. */
  importData: {
    params: DataFile;
    result: { dataset: DatasetInfo; known: boolean };
    event: DataProgress;
  };
  /** Imported data sets, newest first. */
  datasets: { params: Record<string, never>; result: DatasetInfo[]; event: never };
  /** Rows of a data set from the `from`-th on, counted from 0. */
  datasetRows: { params: { id: string; from: number; count: number }; result: DataRow[]; event: never };
  /** Deletes a data set with its rows. Answers with those that stay. */
  deleteDataset: { params: { id: string }; result: DatasetInfo[]; event: never };
  /** What the form of the builder begins with, as it suits a model. */
  pairDefaults: { params: { nodeId: string | null }; result: PairDefaults; event: never };
  /** The form as it was kept; null: there is none. */
  keptPairs: { params: Record<string, never>; result: PairForm | null; event: never };
  keepPairs: { params: PairForm; result: Record<string, never>; event: never };
  /** The form that a manifest was built from. */
  pairsAgain: { params: { manifest: Blob }; result: PairsAgain; event: never };
  /** Categories of harmful data sets, and the instructions that have each. */
  pairCategories: {
    params: { datasets: string[] };
    result: { category: string; there: number }[];
    event: never;
  };
  /** Pairs harmful instructions with answers to something else; the same request gives the same pairs. */
  buildPairs: { params: PairRequest; result: PairsView; event: PairProgress };
  /** Pairs of the last build. */
  pairsPage: {
    params: { from: number; count: number; order: PairOrder };
    result: { pairs: Pair[]; total: number };
    event: never;
  };
  /** Keeps the last build as a prompts file. */
  usePairs: { params: { name: string }; result: PromptsInfo; event: never };
  /** The last build as files: prompts, chats, manifest. */
  exportPairs: {
    params: Record<string, never>;
    result: { files: { name: string; text: string }[] };
    event: never;
  };
  world: { params: Record<string, never>; result: WorldInfo; event: never };
  /** Whether these models can be asked this. */
  checkPrompt: { params: { prompt: string; nodeIds: string[] }; result: PromptCheck; event: never };

  /** Planned memory, and time as measured here; nothing is made of what does not fit. */
  estimate: { params: TrainParams; result: Estimate; event: never };
  /** What asking a node takes, and training a usual adapter on it. Reads no weights. */
  memoryPlan: { params: { nodeId: string }; result: { talk: MemoryPlan; train: MemoryPlan }; event: never };
  /** Sets the limit on GPU memory for models that are opened and runs that are started; null: none. */
  setBudget: { params: { bytes: number | null }; result: number | null; event: never };
  /** Starts a run, if it fits; progress comes as notices. One run trains at a time. */
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
  /** Greedy answers to a held-out set, judged; quick asks a fixed half and says so. */
  evaluate: {
    params: { nodeId: string; set: EvalSet; benign: boolean; quick: boolean };
    result: Evaluation;
    event: { done: number; total: number };
  };
  /** Greedy answers of an opened model to the held-out prompts of a file, looked at by rules; `most` of each kind, null: all. */
  look: {
    params: { nodeId: string; prompts: string; most: number | null };
    result: Look;
    event: { done: number; total: number };
  };
  /** Stored looks of a node, newest first. */
  looks: { params: { nodeId: string }; result: Look[]; event: never };
  /** Everything else that is measured of a checkpoint of the tiny world, against its untouched root; the stored one where there is. */
  measure: {
    params: {
      nodeId: string;
      split: EvalSet;
      /** The most facts asked for; null: all. */ facts: number | null;
    };
    result: Measured;
    event: { done: number; total: number };
  };
  measured: { params: { nodeId: string }; result: Measured[]; event: never };
  /** What was stopped or failed before it was done, and would go on from there. */
  unfinished: { params: { nodeId: string }; result: Unfinished[]; event: never };
  /** Multiple choice on an imported set, by any model; the stored one where there is. */
  choose: { params: ChoiceOrder; result: Chosen; event: { done: number; total: number } };
  /** Of all checkpoints, newest first. */
  chosen: { params: Record<string, never>; result: Chosen[]; event: never };
  /** Cosine of attack and benign gradients by layer, one insight of each checkpoint; the stored one where there is. */
  conflict: { params: ConflictOrder; result: StoredInsight[]; event: InsightProgress };
  /**
   * What a model answers along the line to an attacked one and in random directions; the stored one where there is. One that was
   * stopped goes on.
   */
  landscape: { params: LandscapeOrder; result: StoredInsight; event: InsightProgress };
  /** Newest first; those that speak of one checkpoint, or of any. */
  insights: { params: { nodeId?: string }; result: StoredInsight[]; event: never };
  /** Answers those that are left. */
  deleteInsight: { params: InsightName; result: StoredInsight[]; event: never };
  /** Stored evaluations of a node, newest first. */
  evaluations: { params: { nodeId: string }; result: Evaluation[]; event: never };

  /** Attacks and harmless trainings that one can move through, newest first. */
  scrubAttacks: { params: Record<string, never>; result: ScrubAttack[]; event: never };
  /** What the model of a step says to a prompt: computed once, then remembered. */
  scrubAnswer: { params: { runId: string; step: number; prompt: string }; result: ScrubAnswer; event: never };
  /** Verdicts on a fixed set of prompts at a step; computed once, then remembered. */
  scrubLook: { params: { runId: string; step: number }; result: StepLook; event: StepLook };
  /** The looks that are known already. */
  scrubLooks: { params: { runId: string }; result: { step: number; look: StepLook }[]; event: never };
  /** Nobody moves through an attack any more: what that held on the GPU is freed. */
  scrubEnd: { params: Record<string, never>; result: null; event: never };
  /** The tokens of a text that one model wrote after a prompt, as it and others saw them. */
  inspect: {
    params: { nodeId: string; others: string[]; prompt: string; ids: number[] };
    result: TokenInspection;
    event: never;
  };

  /** Answers for a person to judge without knowing whose they are: `fresh` of them drawn anew, or the last draw. */
  auditSheet: { params: { fresh: number | null }; result: AuditSheet; event: never };
  /** Keeps a person's verdict on an answer; null takes it back. */
  auditLabel: { params: { digest: string; verdict: CoarseKind | null }; result: true; event: never };
  /** The rules against the person, and the rates of the rules set right. */
  auditResult: {
    params: Record<string, never>;
    result: AuditResult;
    event: { done: number; total: number };
  };
  /** A person's verdicts as JSONL, without any text of the answers. */
  auditLines: { params: Record<string, never>; result: string; event: never };

  /** WebLLM's models; fetches its library, which comes with the lab. */
  llmModels: { params: Record<string, never>; result: LlmList; event: never };
  /** A judge's scores of answers whose verdict is known, and how far it agrees; kept. */
  llmCalibrate: { params: { modelId: string }; result: JudgeCalibration; event: LlmEvent };
  /** Scores the answers of checkpoints to forbidden or harmful prompts; those that are known are not asked for again. */
  llmScore: { params: { modelId: string; nodeIds: string[] }; result: LlmScores; event: LlmEvent };
  /** What is kept of all judges under today's prompt, newest calibration first; asks nobody. */
  llmScores: { params: { nodeIds: string[] }; result: LlmScores[]; event: never };
  /** A stock model's answer in Compare. It stays loaded until the lab needs the GPU. */
  llmChat: {
    params: { modelId: string; prompt: string; sampling: Sampling };
    result: ReferenceAnswer;
    event: LlmEvent;
  };
  /** The same text in both engines: chances of the most likely next tokens, side by side. */
  llmCrossCheck: {
    params: { modelId: string; nodeId: string; prompt: string };
    result: CrossCheck;
    event: LlmEvent;
  };
  /** Sends WebLLM's model off the GPU. */
  llmUnload: { params: Record<string, never>; result: null; event: never };

  /** Every kernel against the float64 reference: one check of each kind, or (full) all sizes. */
  selfCheck: {
    params: { full?: boolean };
    result: { ok: boolean; checks: KernelCheck[]; milliseconds: number };
    event: { check: KernelCheck; done: number; total: number };
  };
  /** Every dispatch of one training step on a copy of a node's model, timed alone. */
  profile: { params: { nodeId: string }; result: StepProfile; event: never };
  /** Measures which kernels suit this GPU where that is not known yet, or `again`; for models and runs made from then on. */
  kernels: { params: { again: boolean }; result: Kernels; event: never };
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
  /** The weights of an opened model can be read from now on. */
  | { type: 'readable'; nodeId: string }
  /** A download began, ended or went. */
  | { type: 'downloads' }
  /** A bundle in WebLLM's cache came or went. */
  | { type: 'bundles' }
  /** A data set came or went. */
  | { type: 'datasets' }
  /** Kernels are compiled for what is about to start: so many of so many are done. */
  | { type: 'compiling'; done: number; total: number }
  /** The GPU went away (or an uncaptured GPU error came): nothing runs until `rebuild`. */
  | { type: 'device-lost'; error: ErrorInfo }
  /** Another tab opened a newer version of the lab; this one's store is closed. */
  | { type: 'store-closed'; error: ErrorInfo };

export type FromWorker =
  | { type: 'result'; id: number; result: unknown }
  | { type: 'error'; id: number; error: ErrorInfo }
  | { type: 'event'; id: number; event: unknown }
  | { type: 'notice'; notice: Notice };
