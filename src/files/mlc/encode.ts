/** Tensors into MLC shards, slice by slice: no more than a slice is in memory. */
import { encode, DTYPE_BYTES, type Dtype } from '../dtypes.ts';
import type { Sink } from '../sink.ts';
import {
  elements,
  MANIFEST,
  mlcType,
  OLD_MANIFEST,
  type MlcManifest,
  type MlcRecord,
  type MlcShard,
} from './manifest.ts';

/** The cap of MLC's own converter (`shard_cap_mb`). */
export const SHARD_CAP = 32 * 2 ** 20;

/** Named tensors in order, each read in slices; a slice is good until the next. */
export interface TensorSource {
  shapes: ReadonlyMap<string, readonly number[]>;
  values(name: string): AsyncIterable<{ at: number; values: Float32Array }>;
}

/** Tensors of one shard, in the order of their bytes. */
type PlannedShard = Omit<MlcShard, 'md5sum'>;

/**
 * Which tensor lies where, as MLC's converter does it: in order, without padding, into shards that stay below the cap. A tensor
 * that does not fit behind the others begins a new shard; one whose length doubled reaches the cap goes into a shard of its own
 * instead, before the one that is being filled.
 */
export function planMlcShards(shapes: TensorSource['shapes'], dtype: Dtype, cap = SHARD_CAP): PlannedShard[] {
  const shards: PlannedShard[] = [];
  let pending: MlcRecord[] = [];
  let filled = 0;
  const commit = (records: MlcRecord[], nbytes: number): void => {
    shards.push({ dataPath: `params_shard_${shards.length}.bin`, format: 'raw-shard', nbytes, records });
  };
  const flush = (): void => {
    if (pending.length > 0) commit(pending, filled);
    pending = [];
    filled = 0;
  };
  for (const [name, shape] of shapes) {
    const nbytes = elements(shape) * DTYPE_BYTES[dtype];
    const record = { name, shape: [...shape], ...mlcType(dtype), nbytes, byteOffset: 0 };
    if (filled + nbytes >= cap) {
      if (2 * nbytes >= cap) {
        commit([record], nbytes);
        continue;
      }
      flush();
    }
    record.byteOffset = filled;
    pending.push(record);
    filled += nbytes;
  }
  flush();
  return shards;
}

/**
 * @param o.open a new file; it is closed whatever happens
 * @param o.cap bytes of a shard; MLC's own where absent
 * @returns names of the files in the order of writing: the two lists come last, so that half a bundle is none
 * @throws LabError 'bad-input' where a number is too large for its type, and what writing throws
 */
export async function encodeMlc(
  source: TensorSource,
  o: { dtype: Dtype; open(file: string): Promise<Sink>; cap?: number },
): Promise<{ files: string[]; manifest: MlcManifest }> {
  const planned = planMlcShards(source.shapes, o.dtype, o.cap);
  const records: MlcShard[] = [];
  for (const shard of planned) records.push(await writeShard(source, shard, o));
  const parameters = [...source.shapes.values()].reduce((n, shape) => n + elements(shape), 0);
  const manifest: MlcManifest = { metadata: metadataOf(source.shapes.size, parameters, o.dtype), records };
  const text = manifestBytes(manifest);
  for (const name of [OLD_MANIFEST, MANIFEST])
    await writing(await o.open(name), (sink) => sink.write(text.slice()));
  return { files: [...planned.map((s) => s.dataPath), OLD_MANIFEST, MANIFEST], manifest };
}

/** MLC counts tensors, and bytes as they are in memory: those of f32-to-bf16 are float32 there. */
const metadataOf = (tensors: number, parameters: number, dtype: Dtype): MlcManifest['metadata'] => {
  const width = dtype === 'F16' ? 2 : 4;
  return { ParamSize: tensors, ParamBytes: parameters * width, BitsPerParam: 8 * width };
};

export const manifestBytes = (manifest: MlcManifest): Uint8Array<ArrayBuffer> =>
  new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`);

async function writeShard(
  source: TensorSource,
  { dataPath, format, nbytes, records }: PlannedShard,
  o: { dtype: Dtype; open(file: string): Promise<Sink> },
): Promise<MlcShard> {
  const { createMD5 } = await import('hash-wasm');
  const md5 = (await createMD5()).init();
  let written = 0;
  await writing(await o.open(dataPath), async (sink) => {
    for (const { name } of records)
      for await (const { values } of source.values(name)) {
        const bytes = encode(name, values, o.dtype);
        md5.update(bytes);
        written += bytes.length;
        await sink.write(bytes);
      }
  });
  if (written !== nbytes) throw new Error(`${dataPath} got ${written} bytes, and ${nbytes} were planned`);
  return { dataPath, format, nbytes, md5sum: md5.digest(), records };
}

async function writing(sink: Sink, work: (sink: Sink) => Promise<unknown>): Promise<void> {
  try {
    await work(sink);
  } finally {
    await sink.close();
  }
}
