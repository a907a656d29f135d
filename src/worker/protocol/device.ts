/** Errors, the GPU and the disk, as the page sees them. */
import type { KernelMeasurement, KernelTable } from '../../core/kernel-table.ts';

/** An error as it crosses the boundary: what happened, what is safe, what to do next; plain words in English. */
export interface ErrorInfo {
  code: string;
  what: string;
  safe: string;
  next: string;
}

export interface AdapterSummary {
  vendor: string;
  architecture: string;
  description: string;
  /** Lanes of a subgroup; 0 where the adapter has none or does not fix the size. */
  subgroupSize: number;
}

/** Browsers may give no description. */
export const adapterName = ({
  vendor,
  architecture,
  description,
}: Pick<AdapterSummary, 'vendor' | 'architecture' | 'description'>): string =>
  description || [vendor, architecture].filter(Boolean).join(' ');

/** Which kernels the lab uses on this GPU, and why. */
export interface Kernels {
  table: KernelTable;
  /** What the choice was made from; null where nothing was measured yet and the table is the default one. */
  measured: KernelMeasurement | null;
}

export interface Capabilities {
  adapter: AdapterSummary;
  /** WebGPU features of the opened device. */
  features: string[];
  /** Limits of the opened device, by their WebGPU names. */
  limits: Record<string, number>;
  /** The kernels of models and runs that are made from now on. */
  kernels: Kernels;
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
