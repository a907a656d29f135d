/** Models that a user opens: where they come from, and what is known of them without their weights. */
import type { ModelShape } from '../../core/known-models.ts';
import type { MemoryPlan } from './memory.ts';
import type { Precision } from '../../core/types.ts';

/** Files of the user's own. They are read where they lie; nothing of them is copied to get them here. */
export type LocalSource =
  | { kind: 'files'; name: string; files: { name: string; file: Blob }[] }
  /** A folder that the browser may open again after a reload, once its user says so. */
  | { kind: 'folder'; handle: FileSystemDirectoryHandle };

/** What is opened. */
export type ModelSource =
  | LocalSource
  /** A complete download, by its id. */
  | { kind: 'download'; id: string }
  /** Unquantised weights in WebLLM's cache of this browser, by their address. */
  | { kind: 'webllm'; url: string };

/** Where a downloaded model comes from. */
export interface HubOrigin {
  /** Of its download. */
  id: string;
  /** Owner and name at Hugging Face. */
  repo: string;
  /** The commit that every byte was taken from. */
  commit: string;
  /** The branch, tag or commit that its user asked for; null: the newest of the main branch. */
  revision: string | null;
}

/** A model at Hugging Face that the lab can use, before anything but its configuration was fetched. */
export interface HubModel extends HubOrigin {
  files: { name: string; bytes: number }[];
  totalBytes: number;
  /** Of these, what is here already. */
  haveBytes: number;
  /** What the browser still gives to this page; null where it does not tell. */
  freeBytes: number | null;
  /** From its configuration. */
  shape: ModelShape;
  /** What it takes on this GPU to ask it, in 16 bits as models are published; null where there is no GPU. */
  memory: MemoryPlan | null;
}

/** A download that no model in the family tree stands on: interrupted, or not opened yet. */
export interface KeptDownload {
  id: string;
  /** Null: the tab ended while it began; it can only be deleted. */
  origin: HubOrigin | null;
  haveBytes: number;
  totalBytes: number;
  complete: boolean;
}

export interface DownloadProgress {
  /** `checking`: the file's hash is computed; the bytes are those of this file then. */
  state: 'fetching' | 'checking' | 'waiting';
  file: string;
  doneBytes: number;
  totalBytes: number;
}

/** Of the root node of a model that a user opened. */
export interface OpenedModel {
  /**
   * Where the weights are when the page is opened again: in the lab's own storage, as downloaded files in the browser's file
   * system, in a folder that the browser may be asked for, in WebLLM's cache, or nowhere, so that the files have to be chosen again.
   */
  kept: 'copy' | 'download' | 'folder' | 'webllm' | 'nowhere';
  /** Their address in WebLLM's cache. */
  webllm?: string;
  /** Where it was downloaded from; absent where its user brought the files. */
  hub?: HubOrigin;
  /** Name of the folder, or of the file, as its user knows it. */
  from: string;
  weightFiles: { name: string; bytes: number }[];
  /** Types of the stored numbers: 'BF16'. */
  types: string[];
  /** In which its matrices are on the GPU. */
  precision?: Precision;
  parameters: number;
  /** Kind of tokenizer, in words. */
  tokenizer: string;
  /** `default`: the model brings no chat template, and is asked in a plain transcript. */
  template: 'model' | 'default';
  /**
   * SHA-256 (hex) over config.json, the headers and a sample of the weights, by which the same weights are known again. No
   * checksum: it does not read every byte of gigabytes. The same model has the same small files as well.
   */
  fingerprint: string;
}
