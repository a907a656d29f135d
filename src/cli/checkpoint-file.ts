import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { readSafetensors, writeSafetensors } from '../model/safetensors.ts';
import type { SessionState } from '../train/session.ts';

/** Writes beside the target and renames: a reader or a crash never sees half a file. */
export function writeAtomic(path: string, data: Uint8Array | string): void {
  mkdirSync(dirname(path), { recursive: true });
  const part = `${path}.part`;
  writeFileSync(part, data);
  renameSync(part, path);
}

/** What a part of a run was computed with. Older checkpoints did not record it: 'not recorded'. */
export interface TrainingSegment {
  /** Steps done before it. */
  fromStep: number;
  adapter: string;
  /** Kernel table, as JSON. */
  kernels: string;
  /** Of the code, see codeDigest. */
  digest: string;
}

const UNKNOWN = 'not recorded';

/** A training run on disk: weights and moments as f32 safetensors, everything else as JSON in its metadata. */
export function saveState(
  path: string,
  state: SessionState,
  segments: readonly TrainingSegment[] = [],
): void {
  const { weights, m, v, ...rest } = state;
  const flat = (data: Float32Array): { shape: number[]; data: Float32Array } => ({
    shape: [data.length],
    data,
  });
  const tensors = new Map([
    ['weights', flat(weights)],
    ['m', flat(m)],
    ['v', flat(v)],
  ]);
  writeAtomic(
    path,
    writeSafetensors(tensors, 'F32', { session: JSON.stringify(rest), segments: JSON.stringify(segments) }),
  );
}

/** The stored run and what computed it so far, or null when there is none. */
export function loadState(path: string): (SessionState & { segments: TrainingSegment[] }) | null {
  if (!existsSync(path)) return null;
  const { tensors, metadata } = readSafetensors(readFileSync(path));
  const rest = JSON.parse(metadata.session ?? 'null') as Omit<SessionState, 'weights' | 'm' | 'v'> | null;
  const [weights, m, v] = ['weights', 'm', 'v'].map((name) => tensors.get(name)?.data);
  if (!rest || !weights || !m || !v) return null;
  const segments = JSON.parse(metadata.segments ?? '[]') as TrainingSegment[];
  if (segments.length === 0 && rest.step > 0)
    segments.push({ fromStep: 0, adapter: UNKNOWN, kernels: UNKNOWN, digest: UNKNOWN });
  return { ...rest, weights, m, v, segments };
}

export function dropState(path: string): void {
  rmSync(path, { force: true });
}
