/** What lies in WebLLM's cache of this browser, and what the lab puts there. */
import type { ErrorInfo } from './device.ts';

/** A bundle of the lab in WebLLM's cache, verified after it was written. */
export interface CachedBundle {
  /** What a ModelRecord of WebLLM takes as `model`. It holds a hash of the content. */
  url: string;
  /** Of the checkpoint when it was written. */
  name: string;
  nodeId: string;
  bytes: number;
  /** float16, or float32 in memory. */
  quantisation: 'q0f16' | 'q0f32';
  /** Model of WebLLM's own list whose library runs it: its record with `model` replaced; null: none does. */
  stock: string | null;
  /**
   * Against what names, shapes and types were held: the parameters that the library in WebLLM's cache lists, or, where it is not
   * there, the published configuration that it was compiled for.
   */
  checked: 'library' | 'shape' | 'nothing';
  createdAt: number;
}

/** A model that WebLLM can load from this browser, whoever put it there. */
export interface CachedModel {
  url: string;
  name: string;
  bytes: number;
  /** Where the lab put it there. */
  bundle: CachedBundle | null;
  /** Why it is no base for training; null: it can be opened. */
  problem: ErrorInfo | null;
  /** A bundle's id in WebLLM's list of models; null: no bundle, or no library of that list runs it. */
  chat: string | null;
}

/** Models of WebLLM's own list whose library runs a checkpoint, by its type there; null: none does. */
export type StockLibraries = Record<CachedBundle['quantisation'], string | null>;

/** Numbers in a bundle: float32, float16, or float32 of which the upper half is stored. */
export type BundleType = 'F32' | 'F16' | 'BF16';

export interface BundleProgress {
  /** Hashed and checked only on the way into the cache. */
  state: 'hashing' | 'writing' | 'checking';
  doneBytes: number;
  totalBytes: number;
}

/** Where a bundle goes: to download (small models), as a new folder in a folder, or into WebLLM's cache. */
export type BundleTarget =
  { to: 'files' } | { to: 'folder'; folder: FileSystemDirectoryHandle } | { to: 'cache' };

export interface BundleResult {
  /** Of the target 'files'. */
  files?: { name: string; bytes: ArrayBuffer }[];
  /** Of the target 'folder': its name. */
  folder?: string;
  /** Of the target 'cache'. */
  bundle?: CachedBundle;
  stock: string | null;
  checked: CachedBundle['checked'];
  /** WebLLM's fixed form of a conversation gives the text of the model's own template. */
  exact: boolean;
}
