/** The safetensors format: its header, checked against the bytes that are there, and its tensors, read by slices. */
import { LabError } from '../core/errors.ts';
import type { Half } from '../core/types.ts';
import { decode, DTYPE_BYTES, isDtype, littleEndian, narrowWords, toWords, type Dtype } from './dtypes.ts';
import { readExactly, SLICE_BYTES, type FileSource } from './source.ts';

/** The format's own limit on the header. */
const MAX_HEADER = 100_000_000;

export interface TensorEntry {
  name: string;
  dtype: Dtype;
  shape: number[];
  /** Where its bytes lie in the file. */
  begin: number;
  end: number;
}

export interface SafetensorsHeader {
  /** In the order of the header. */
  tensors: Map<string, TensorEntry>;
  metadata: Record<string, string>;
}

/** A tensor and the file that holds it. */
export interface StoredTensor extends TensorEntry {
  source: FileSource;
}

function corrupt(file: string, what: string, cause?: unknown): LabError {
  return new LabError('corrupt-model', `${file} is damaged or not a safetensors file: ${what}.`, {
    safe: 'Nothing was loaded; models and checkpoints that are already here are untouched.',
    next: 'Download or export the file again.',
    cause,
  });
}

/**
 * Bytes of the header from the file's first 8 bytes.
 * @throws LabError 'corrupt-model' when the file is too short for what it claims
 */
export function headerLength(file: string, first: Uint8Array, size: number): number {
  if (first.length < 8) throw corrupt(file, `it has only ${size} bytes`);
  const claimed = new DataView(first.buffer, first.byteOffset, 8).getBigUint64(0, true);
  if (claimed > BigInt(Math.min(MAX_HEADER, size - 8)))
    throw corrupt(file, `its header claims ${claimed} bytes, and the file has ${size}`);
  return Number(claimed);
}

/**
 * The content of a header that stands after the first 8 of a file's `size` bytes.
 * @throws LabError 'corrupt-model' naming the tensor on anything that the format forbids
 */
export function parseHeader(file: string, header: Uint8Array, size: number): SafetensorsHeader {
  const dataStart = 8 + header.length;
  const available = size - dataStart;
  const metadata: Record<string, string> = {};
  const entries: TensorEntry[] = [];
  for (const [name, value] of parseJson(file, header)) {
    if (name === '__metadata__') Object.assign(metadata, checkMetadata(file, value));
    else entries.push(checkEntry(file, name, value, available));
  }
  checkCoverage(file, entries, available);
  return {
    tensors: new Map(
      entries.map((e) => [e.name, { ...e, begin: e.begin + dataStart, end: e.end + dataStart }]),
    ),
    metadata,
  };
}

/** Reads a file's header, and nothing else of it. @throws as `parseHeader` and `readExactly` */
export async function readHeader(source: FileSource): Promise<SafetensorsHeader> {
  const { name, size } = source;
  const first = await readExactly(source, 0, Math.min(8, size));
  const length = headerLength(name, first, size);
  return parseHeader(name, await readExactly(source, 8, length), size);
}

/** A part of a tensor: its values from element `at` on. */
export interface TensorSlice<T> {
  at: number;
  values: T;
}

/**
 * A tensor's values widened to float32, a slice at a time: at most `sliceBytes` of the file, and at most that many of
 * float32. The values lie in a buffer that the next slice overwrites.
 */
export async function* readValues(
  tensor: StoredTensor,
  sliceBytes = SLICE_BYTES,
): AsyncGenerator<TensorSlice<Float32Array<ArrayBuffer>>> {
  const width = DTYPE_BYTES[tensor.dtype];
  const most = Math.min(Math.floor(sliceBytes / 4), (tensor.end - tensor.begin) / width);
  const out = new Float32Array(most);
  // Values that need no widening are read to where they are wanted.
  const into = width === 4 && littleEndian ? new Uint8Array(out.buffer) : new Uint8Array(most * width);
  for await (const { at, bytes } of readBytes(tensor, most, into)) {
    const inPlace = bytes.buffer === out.buffer;
    yield { at, values: inPlace ? out.subarray(0, bytes.length / 4) : decode(bytes, tensor.dtype, out) };
  }
}

/**
 * A tensor as 16-bit words, a slice at a time: as it is stored where it is of that type, else rounded. Of the file and of
 * words together at most `sliceBytes` are in memory, in buffers that the next slice overwrites.
 * @throws LabError as `readExactly`, and 'bad-input' when a value is too large for the type
 */
export async function* readWords(
  tensor: StoredTensor,
  as: Half,
  sliceBytes = SLICE_BYTES,
): AsyncGenerator<TensorSlice<Uint16Array>> {
  const count = (tensor.end - tensor.begin) / DTYPE_BYTES[tensor.dtype];
  if (tensor.dtype.toLowerCase() === as) {
    const most = Math.min(Math.floor(sliceBytes / 2), count);
    for await (const { at, bytes } of readBytes(tensor, most, new Uint8Array(most * 2)))
      yield { at, values: toWords(bytes) };
    return;
  }
  const share = Math.ceil(sliceBytes / 2);
  const out = new Uint16Array(Math.min(Math.floor(share / 4), count));
  for await (const { at, values } of readValues(tensor, share))
    yield { at, values: narrowWords(tensor.name, values, as, out) };
}

async function* readBytes(
  tensor: StoredTensor,
  most: number,
  into: Uint8Array<ArrayBuffer>,
): AsyncGenerator<{ at: number; bytes: Uint8Array<ArrayBuffer> }> {
  const width = DTYPE_BYTES[tensor.dtype];
  const count = (tensor.end - tensor.begin) / width;
  for (let at = 0; at < count; at += most) {
    const length = Math.min(most, count - at) * width;
    yield { at, bytes: await readExactly(tensor.source, tensor.begin + at * width, length, into) };
  }
}

function parseJson(file: string, bytes: Uint8Array): Map<string, unknown> {
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    json = JSON.parse(text);
  } catch (error) {
    throw corrupt(file, 'its header is not JSON', error);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw corrupt(file, 'its header is not a JSON object');
  const seen = new Set<string>();
  for (const key of topLevelKeys(text)) {
    if (seen.has(key)) throw corrupt(file, `tensor "${key}" occurs twice`);
    seen.add(key);
  }
  return new Map(Object.entries(json));
}

/** The keys of a valid JSON object in the order of the text: JSON.parse drops all but the last of equal ones. */
function topLevelKeys(text: string): string[] {
  const keys: string[] = [];
  let depth = 0;
  let expectKey = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"') {
      const start = i++;
      while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
      if (depth === 1 && expectKey) keys.push(JSON.parse(text.slice(start, i + 1)) as string);
      expectKey = false;
    } else if (c === '{' || c === '[') {
      depth++;
      expectKey = depth === 1;
    } else if (c === '}' || c === ']') depth--;
    else if (c === ',') expectKey = depth === 1;
  }
  return keys;
}

function checkMetadata(file: string, value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw corrupt(file, 'its __metadata__ is not an object');
  for (const [key, text] of Object.entries(value))
    if (typeof text !== 'string')
      throw corrupt(file, `the value of "${key}" in its __metadata__ is not a text`);
  return value as Record<string, string>;
}

const isSize = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0;

function checkEntry(file: string, name: string, value: unknown, available: number): TensorEntry {
  const tensor = `tensor "${name}"`;
  if (typeof value !== 'object' || value === null) throw corrupt(file, `${tensor} has no description`);
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  if (typeof dtype !== 'string') throw corrupt(file, `${tensor} has no dtype`);
  if (!isDtype(dtype))
    throw new LabError(
      'corrupt-model',
      `In ${file}, ${tensor} is stored as ${dtype}, and only F32, F16 and BF16 are supported.`,
      {
        safe: 'Nothing was loaded.',
        next: 'Use a version of the model in one of these types (not a quantised one).',
      },
    );
  if (!Array.isArray(shape) || shape.length > 8 || !shape.every(isSize))
    throw corrupt(file, `${tensor} has no valid shape`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize))
    throw corrupt(file, `${tensor} has no valid data_offsets`);
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > available)
    throw corrupt(file, `${tensor} lies at bytes ${begin} to ${end} of ${available}`);
  const count = (shape as number[]).reduce((a, b) => a * b, 1);
  if (count * DTYPE_BYTES[dtype] !== end - begin)
    throw corrupt(
      file,
      `${tensor} of shape [${shape.join(', ')}] in ${dtype} does not fill ${end - begin} bytes`,
    );
  return { name, dtype, shape: shape as number[], begin, end };
}

/** The format wants the tensors to cover the data without overlap, hole or rest. */
function checkCoverage(file: string, entries: readonly TensorEntry[], available: number): void {
  let at = 0;
  let before = '';
  for (const e of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (e.begin < at) throw corrupt(file, `tensor "${e.name}" overlaps tensor "${before}"`);
    if (e.begin > at)
      throw corrupt(file, `${e.begin - at} bytes before tensor "${e.name}" belong to no tensor`);
    at = e.end;
    before = e.name;
  }
  if (at !== available) throw corrupt(file, `the last ${available - at} bytes belong to no tensor`);
}
