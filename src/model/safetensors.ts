import { LabError } from '../core/errors.ts';
import type { Tensors } from '../core/types.ts';

/** Bytes per element of the types that are read. */
const DTYPE_BYTES: Record<string, number> = { F32: 4, F16: 2, BF16: 2 };
/** The format's own limit on the header. */
const MAX_HEADER = 100_000_000;

function corrupt(what: string, cause?: unknown): LabError {
  return new LabError('corrupt-model', `This model file is damaged or not a safetensors file: ${what}.`, {
    safe: 'Nothing was loaded; models and checkpoints that are already here are untouched.',
    next: 'Download or export the file again.',
    cause,
  });
}

interface Entry {
  name: string;
  dtype: string;
  shape: number[];
  begin: number;
  end: number;
}

/**
 * Reads a safetensors file (F32, F16 and BF16, widened to float32).
 * Throws LabError('corrupt-model') naming the tensor on anything the format forbids: every claim of the header is
 * checked against the bytes that are there before memory is taken for it.
 */
export function readSafetensors(bytes: Uint8Array): {
  tensors: Tensors;
  metadata: Record<string, string>;
} {
  if (bytes.length < 8) throw corrupt(`it has only ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = view.getBigUint64(0, true);
  if (headerLength > BigInt(Math.min(MAX_HEADER, bytes.length - 8)))
    throw corrupt(`its header claims ${headerLength} bytes, and the file has ${bytes.length}`);
  const dataStart = 8 + Number(headerLength);
  const header = parseHeader(bytes.subarray(8, dataStart));
  const data = bytes.subarray(dataStart);

  const metadata: Record<string, string> = {};
  const entries: Entry[] = [];
  for (const [name, value] of header) {
    if (name === '__metadata__') Object.assign(metadata, checkMetadata(value));
    else entries.push(checkEntry(name, value, data.length));
  }
  checkCoverage(entries, data.length);

  const tensors: Tensors = new Map();
  for (const e of entries)
    tensors.set(e.name, { shape: e.shape, data: decode(data.subarray(e.begin, e.end), e.dtype) });
  return { tensors, metadata };
}

function parseHeader(bytes: Uint8Array): Map<string, unknown> {
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    json = JSON.parse(text);
  } catch (error) {
    throw corrupt('its header is not JSON', error);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw corrupt('its header is not a JSON object');
  const entries = new Map(Object.entries(json));
  const keys = topLevelKeys(text);
  const seen = new Set<string>();
  for (const key of keys) {
    if (seen.has(key)) throw corrupt(`tensor "${key}" occurs twice`);
    seen.add(key);
  }
  return entries;
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

function checkMetadata(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw corrupt('its __metadata__ is not an object');
  for (const [key, text] of Object.entries(value))
    if (typeof text !== 'string') throw corrupt(`the value of "${key}" in its __metadata__ is not a text`);
  return value as Record<string, string>;
}

const isSize = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0;

function checkEntry(name: string, value: unknown, available: number): Entry {
  const tensor = `tensor "${name}"`;
  if (typeof value !== 'object' || value === null) throw corrupt(`${tensor} has no description`);
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  if (typeof dtype !== 'string') throw corrupt(`${tensor} has no dtype`);
  const width = Object.hasOwn(DTYPE_BYTES, dtype) ? DTYPE_BYTES[dtype]! : 0;
  if (width === 0)
    throw new LabError(
      'corrupt-model',
      `${tensor} is stored as ${dtype}, and only F32, F16 and BF16 are supported.`,
      {
        safe: 'Nothing was loaded.',
        next: 'Use a version of the model in one of these types (not a quantised one).',
      },
    );
  if (!Array.isArray(shape) || shape.length > 8 || !shape.every(isSize))
    throw corrupt(`${tensor} has no valid shape`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize))
    throw corrupt(`${tensor} has no valid data_offsets`);
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > available)
    throw corrupt(`${tensor} lies at bytes ${begin} to ${end} of ${available}`);
  const count = (shape as number[]).reduce((a, b) => a * b, 1);
  if (count * width !== end - begin)
    throw corrupt(`${tensor} of shape [${shape.join(', ')}] in ${dtype} does not fill ${end - begin} bytes`);
  return { name, dtype, shape: shape as number[], begin, end };
}

/** The format wants the tensors to cover the data without overlap, hole or rest. */
function checkCoverage(entries: readonly Entry[], available: number): void {
  let at = 0;
  let before = '';
  for (const e of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (e.begin < at) throw corrupt(`tensor "${e.name}" overlaps tensor "${before}"`);
    if (e.begin > at) throw corrupt(`${e.begin - at} bytes before tensor "${e.name}" belong to no tensor`);
    at = e.end;
    before = e.name;
  }
  if (at !== available) throw corrupt(`the last ${available - at} bytes belong to no tensor`);
}

const littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

function decode(bytes: Uint8Array, dtype: string): Float32Array {
  const width = DTYPE_BYTES[dtype]!;
  const out = new Float32Array(bytes.length / width);
  if (dtype === 'F32' && littleEndian) {
    new Uint8Array(out.buffer).set(bytes);
    return out;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const bits = new Uint32Array(out.buffer);
  for (let i = 0; i < out.length; i++) {
    if (dtype === 'F32') bits[i] = view.getUint32(i * 4, true);
    else if (dtype === 'BF16') bits[i] = view.getUint16(i * 2, true) << 16;
    else bits[i] = widenF16(view.getUint16(i * 2, true));
  }
  return out;
}

/** Bits of the float32 equal to the float16 with bits `h`. */
function widenF16(h: number): number {
  const sign = (h & 0x8000) << 16;
  const exponent = (h >> 10) & 31;
  let fraction = h & 1023;
  if (exponent === 31) return (sign | 0x7f800000 | (fraction << 13)) >>> 0;
  if (exponent !== 0) return (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
  if (fraction === 0) return sign >>> 0;
  let shift = 0;
  while ((fraction & 1024) === 0) {
    fraction <<= 1;
    shift++;
  }
  return (sign | ((113 - shift) << 23) | ((fraction & 1023) << 13)) >>> 0;
}

/** Bits of the float16 nearest to the float32 with bits `x`, ties to even; beyond 65504 it becomes infinite. */
function narrowF16(x: number): number {
  const sign = (x >>> 16) & 0x8000;
  const abs = x & 0x7fffffff;
  if (abs > 0x7f800000) return sign | 0x7e00;
  if (abs >= 0x477ff000) return sign | 0x7c00;
  // A subnormal float16 keeps the bits above 2^-24: fewer the smaller the exponent, none below 2^-25.
  const drop = abs >= 0x38800000 ? 13 : Math.min(31, 126 - (abs >>> 23));
  const kept = abs >= 0x38800000 ? abs - 0x38000000 : (abs & 0x7fffff) | 0x800000;
  if (drop > 24) return sign;
  const half = 1 << (drop - 1);
  const rest = kept & (2 * half - 1);
  let result = kept >>> drop;
  if (rest > half || (rest === half && (result & 1) === 1)) result++;
  return sign | result;
}

/** Values as they are after a round trip through float16. */
export function roundToF16(data: Float32Array): Float32Array {
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const out = new Uint32Array(data.length);
  for (let i = 0; i < out.length; i++) out[i] = widenF16(narrowF16(bits[i]!));
  return new Float32Array(out.buffer);
}

/** Writes a safetensors file; F16 rounds to nearest, ties to even. */
export function writeSafetensors(
  tensors: Tensors,
  dtype: 'F32' | 'F16',
  metadata: Record<string, string> = { format: 'pt' },
): Uint8Array<ArrayBuffer> {
  const width = DTYPE_BYTES[dtype]!;
  const header: Record<string, unknown> = { __metadata__: metadata };
  let size = 0;
  for (const [name, { shape, data }] of tensors) {
    if (shape.reduce((a, b) => a * b, 1) !== data.length)
      throw new LabError(
        'bad-input',
        `Tensor "${name}" of shape [${shape.join(', ')}] has ${data.length} values.`,
      );
    header[name] = { dtype, shape, data_offsets: [size, size + data.length * width] };
    size += data.length * width;
  }
  let text = new TextEncoder().encode(JSON.stringify(header));
  const padded = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(0x20);
  padded.set(text);
  text = padded;

  const out = new Uint8Array(8 + text.length + size);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, BigInt(text.length), true);
  out.set(text, 8);
  let at = 8 + text.length;
  for (const { data } of tensors.values()) {
    const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
    for (let i = 0; i < bits.length; i++, at += width) {
      if (dtype === 'F32') view.setUint32(at, bits[i]!, true);
      else view.setUint16(at, narrowF16(bits[i]!), true);
    }
  }
  return out;
}
