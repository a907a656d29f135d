/** How a model's tensors are spread over files in Hugging Face's layout, and what each file's header says. */
import { DTYPE_BYTES, type Dtype } from './dtypes.ts';
import { SINGLE } from './checkpoint.ts';

/** Above this many bytes a model is split. */
export const SHARD_BYTES = 2e9;

export interface Shard {
  file: string;
  /** In the order of their bytes. */
  names: string[];
  /** Everything before the first tensor: length, header, padding. */
  head: Uint8Array<ArrayBuffer>;
}

export interface ShardPlan {
  shards: Shard[];
  /** model.safetensors.index.json; null for a single file. */
  index: Record<string, unknown> | null;
}

const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Tensors in their order, a new file whenever the next would not fit; a tensor larger than a shard has one of its own. */
export function planShards(
  shapes: ReadonlyMap<string, readonly number[]>,
  dtypeOf: (name: string) => Dtype,
  shardBytes = SHARD_BYTES,
): ShardPlan {
  const groups: string[][] = [[]];
  let filled = 0;
  let total = 0;
  for (const [name, shape] of shapes) {
    const bytes = count(shape) * DTYPE_BYTES[dtypeOf(name)];
    if (filled > 0 && filled + bytes > shardBytes) {
      groups.push([]);
      filled = 0;
    }
    groups.at(-1)!.push(name);
    filled += bytes;
    total += bytes;
  }
  const digits = (n: number): string => String(n).padStart(5, '0');
  const fileOf = (i: number): string =>
    groups.length === 1 ? SINGLE : `model-${digits(i + 1)}-of-${digits(groups.length)}.safetensors`;
  const shards = groups.map((names, i): Shard => ({
    file: fileOf(i),
    names,
    head: head(names, shapes, dtypeOf),
  }));
  const weightMap = Object.fromEntries(
    shards.flatMap(({ file, names }) => names.map((name) => [name, file])),
  );
  return {
    shards,
    index: shards.length === 1 ? null : { metadata: { total_size: total }, weight_map: weightMap },
  };
}

function head(
  names: readonly string[],
  shapes: ReadonlyMap<string, readonly number[]>,
  dtypeOf: (name: string) => Dtype,
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let at = 0;
  for (const name of names) {
    const shape = shapes.get(name)!;
    const dtype = dtypeOf(name);
    const end = at + count(shape) * DTYPE_BYTES[dtype];
    header[name] = { dtype, shape, data_offsets: [at, end] };
    at = end;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(text.length / 8) * 8;
  const out = new Uint8Array(8 + length).fill(0x20, 8);
  new DataView(out.buffer).setBigUint64(0, BigInt(length), true);
  out.set(text, 8);
  return out;
}
