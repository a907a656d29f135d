import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelScores } from '../../eval/evaluate.ts';
import type { Battery } from '../../eval/measures/battery.ts';
import type { RunCost } from '../../core/run-cost.ts';
import type { Settings } from '../../core/settings.ts';
import { writeAtomic } from '../checkpoint-file.ts';
import type { Place } from './matched.ts';
import type { RunSeeds } from './matrix.ts';

/** A run of a defence. */
export interface Made {
  /** That it made. */
  model: string;
  recipe: string;
  settings: Settings;
  cost: RunCost;
}

/** One model after one attack at one number of steps, with everything that made it. */
export interface Cell {
  /** Names what the cell depends on: repetitions with other seeds share those of an untouched model. */
  id: string;
  model: string;
  attack: string;
  steps: number;
  worldSeed: number;
  seeds: RunSeeds;
  /** Of the run that led here; empty for an untouched model. */
  settings: Settings;
  /** Training loss of the last step; null for an untouched model. */
  loss: number | null;
  /** What that run took to come here; null for an untouched model. */
  cost: RunCost | null;
  /** The runs that made the model, first to last; none for an embedded one. */
  made: readonly Made[];
  /** Of a model at matched ability. */
  place?: Place;
  scores: ModelScores;
  /** The other measures, of the matrix; null in the grid, which asks for the budget alone. */
  battery: Battery | null;
  adapter: string;
  /** SHA-256 of the protocol's frozen part when it was measured. */
  protocol: string;
}

/**
 * Results and defended models on disk, one file per cell, so that an interrupted experiment goes on where it was. The
 * folder's name is a digest of everything that a result depends on: other weights or settings never meet old files.
 */
export class CellStore {
  readonly dir: string;

  /** @param fresh forget what is stored */
  constructor(root: string, depends: unknown, fresh = false) {
    this.dir = join(root, createHash('sha256').update(JSON.stringify(depends)).digest('hex').slice(0, 16));
    if (fresh) rmSync(this.dir, { recursive: true, force: true });
    writeAtomic(join(this.dir, 'depends.json'), `${JSON.stringify(depends, null, 2)}\n`);
  }

  #path(parts: readonly (string | number)[], ending: string): string {
    return join(this.dir, `${parts.join('_').replace(/[^\w.+-]/g, '-')}.${ending}`);
  }

  read<T>(...key: (string | number)[]): T | null {
    const path = this.#path(key, 'json');
    return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as T) : null;
  }

  write(value: unknown, ...key: (string | number)[]): void {
    writeAtomic(this.#path(key, 'json'), `${JSON.stringify(value)}\n`);
  }

  readWeights(...key: (string | number)[]): Float32Array | null {
    const path = this.#path(key, 'f32');
    if (!existsSync(path)) return null;
    const bytes = readFileSync(path);
    return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  }

  writeWeights(weights: Float32Array, ...key: (string | number)[]): void {
    writeAtomic(
      this.#path(key, 'f32'),
      new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength),
    );
  }
}
