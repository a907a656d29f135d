import type { KernelTable } from '../core/kernel-table.ts';

/** What made a document of figures: enough to take them again, and to tell whether two may be laid side by side. Plain JSON. */
export interface About {
  createdAt: string;
  command: string;
  /** Seed of the world, its facts and its pretraining. */
  worldSeed: number;
  seeds: { defence: number; attack: number };
  adapter: string;
  kernels: KernelTable;
  /** SHA-256 of the code that trains, judges and measures. */
  code: string;
  /** SHA-256 of the protocol's frozen part. */
  protocol: string;
  /** SHA-256 of the embedded models' weights by their names. */
  weights: Record<string, string>;
  /** What this process took; with figures taken over from an interrupted one, less than all of them took. */
  seconds: number;
}
