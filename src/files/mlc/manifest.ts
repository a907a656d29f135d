/**
 * The list of tensors beside the weights of MLC LLM and WebLLM: `tensor-cache.json`, which until WebLLM 0.2.79 was named
 * `ndarray-cache.json` with the same content. Shards are plain bytes: tensors one behind the other, little-endian, row-major.
 */
import * as v from 'valibot';
import { LabError } from '../../core/errors.ts';
import { DTYPE_BYTES, type Dtype } from '../dtypes.ts';
import type { FileFolder } from '../source.ts';

export const MANIFEST = 'tensor-cache.json';
/** Its name up to WebLLM 0.2.79. Both are written, and either is read. */
export const OLD_MANIFEST = 'ndarray-cache.json';

export const isMlcFolder = (folder: FileFolder): boolean => folder.has(MANIFEST) || folder.has(OLD_MANIFEST);

export interface MlcRecord {
  name: string;
  shape: number[];
  dtype: 'float32' | 'float16';
  /** `f32-to-bf16`: float32 whose upper half is stored. */
  format: 'raw' | 'f32-to-bf16';
  nbytes: number;
  byteOffset: number;
}

export interface MlcShard {
  dataPath: string;
  format: 'raw-shard';
  nbytes: number;
  md5sum: string;
  records: MlcRecord[];
}

export interface MlcManifest {
  metadata: { ParamSize: number; ParamBytes: number; BitsPerParam: number };
  records: MlcShard[];
}

/** How a type of this lab is called there. */
export const mlcType = (dtype: Dtype): Pick<MlcRecord, 'dtype' | 'format'> =>
  dtype === 'F16'
    ? { dtype: 'float16', format: 'raw' }
    : { dtype: 'float32', format: dtype === 'BF16' ? 'f32-to-bf16' : 'raw' };

export const elements = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

const size = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const RECORD = v.object({
  name: v.pipe(v.string(), v.minLength(1), v.maxLength(300)),
  shape: v.pipe(v.array(size), v.maxLength(8)),
  dtype: v.string(),
  format: v.string(),
  nbytes: size,
  byteOffset: size,
});
const SHARD = v.object({
  // no way out of the folder, and no query or escape that an address would read in its own way
  dataPath: v.pipe(v.string(), v.maxLength(200), v.regex(/^\w[\w.-]*$/, 'is not a plain file name')),
  format: v.literal('raw-shard'),
  nbytes: size,
  md5sum: v.optional(v.pipe(v.string(), v.regex(/^[\da-f]{32}$/i, 'is not an MD5 in hex'))),
  records: v.array(RECORD),
});
const SCHEMA = v.object({ records: v.pipe(v.array(SHARD), v.minLength(1)) });

export interface ReadShard {
  file: string;
  bytes: number;
  md5: string | null;
  tensors: ReadTensor[];
}
export interface ReadTensor {
  name: string;
  shape: number[];
  dtype: Dtype;
  /** In its shard. */
  begin: number;
  end: number;
}

export function corruptMlc(file: string, what: string, cause?: unknown): LabError {
  return new LabError('corrupt-model', `${file} is damaged or not a list of MLC tensors: ${what}.`, {
    safe: 'Nothing was loaded; models and checkpoints that are already here are untouched.',
    next: 'Download or export the bundle again.',
    cause,
  });
}

/**
 * @param json content of the list, parsed
 * @throws LabError 'corrupt-model' naming the file or tensor on anything that cannot be true; 'bad-input' for quantised weights
 */
export function parseManifest(file: string, json: unknown): ReadShard[] {
  const parsed = v.safeParse(SCHEMA, json);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw corruptMlc(file, `"${v.getDotPath(issue) ?? 'the whole'}": ${issue.message}`);
  }
  const files = new Set<string>();
  const names = new Set<string>();
  return parsed.output.records.map(({ dataPath, nbytes, md5sum, records }) => {
    if (files.has(dataPath)) throw corruptMlc(file, `${dataPath} is listed twice`);
    files.add(dataPath);
    const tensors = records.map((record) => {
      if (names.has(record.name)) throw corruptMlc(file, `tensor "${record.name}" is listed twice`);
      names.add(record.name);
      return checkRecord(file, record, nbytes);
    });
    checkApart(file, tensors);
    return { file: dataPath, bytes: nbytes, md5: md5sum?.toLowerCase() ?? null, tensors };
  });
}

function dtypeOf({ name, dtype, format }: v.InferOutput<typeof RECORD>): Dtype {
  if (format === 'f32-to-bf16' && dtype === 'float32') return 'BF16';
  if (format === 'raw' && dtype === 'float32') return 'F32';
  if (format === 'raw' && dtype === 'float16') return 'F16';
  throw quantised(`tensor "${name}" is stored as ${dtype}${format === 'raw' ? '' : `, ${format}`}`);
}

/** Weights that were rounded to a few bits: there is no way back to what they were. */
export function quantised(what: string): LabError {
  return new LabError('bad-input', `These weights are quantised: ${what}.`, {
    safe: 'Nothing was loaded.',
    next: 'Only unquantised weights are a base for training: take the q0f32 or q0f16 version of the model (its name has q0 in it).',
  });
}

function checkRecord(file: string, record: v.InferOutput<typeof RECORD>, shardBytes: number): ReadTensor {
  const { name, shape, nbytes, byteOffset: begin } = record;
  const tensor = `tensor "${name}"`;
  const dtype = dtypeOf(record);
  const wanted = elements(shape) * DTYPE_BYTES[dtype];
  if (wanted !== nbytes)
    throw corruptMlc(
      file,
      `${tensor} of shape [${shape.join(', ')}] has ${wanted} bytes, and ${nbytes} are claimed`,
    );
  const end = begin + nbytes;
  if (!Number.isSafeInteger(end) || end > shardBytes)
    throw corruptMlc(file, `${tensor} lies at bytes ${begin} to ${end} of ${shardBytes}`);
  return { name, shape, dtype, begin, end };
}

function checkApart(file: string, tensors: readonly ReadTensor[]): void {
  let before: ReadTensor | null = null;
  for (const t of [...tensors].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (before && t.begin < before.end)
      throw corruptMlc(file, `tensor "${t.name}" overlaps tensor "${before.name}"`);
    before = t;
  }
}
