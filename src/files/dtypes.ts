import { LabError } from '../core/errors.ts';
import type { Half } from '../core/types.ts';

/** Types of tensors in files that are read, with their bytes per element. */
export const DTYPE_BYTES = { F32: 4, F16: 2, BF16: 2 } as const;

export type Dtype = keyof typeof DTYPE_BYTES;

export const isDtype = (name: string): name is Dtype => Object.hasOwn(DTYPE_BYTES, name);

/** Then float32 values in a file are those in memory. */
export const littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/**
 * Stored values (little-endian) widened to float32, exactly. Without `out` the result never shares memory with `bytes`;
 * with it, the values stand at its beginning.
 */
export function decode(
  bytes: Uint8Array,
  dtype: Dtype,
  out = new Float32Array(bytes.length / DTYPE_BYTES[dtype]),
): Float32Array<ArrayBuffer> {
  const count = bytes.length / DTYPE_BYTES[dtype];
  const values = out.subarray(0, count) as Float32Array<ArrayBuffer>;
  if (dtype === 'F32' && littleEndian) {
    new Uint8Array(values.buffer, values.byteOffset, bytes.length).set(bytes);
    return values;
  }
  const bits = new Uint32Array(values.buffer, values.byteOffset, count);
  if (dtype === 'F32') {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let i = 0; i < count; i++) bits[i] = view.getUint32(i * 4, true);
    return values;
  }
  const words = toWords(bytes);
  if (dtype === 'BF16') for (let i = 0; i < count; i++) bits[i] = words[i]! << 16;
  else for (let i = 0; i < count; i++) bits[i] = widenF16(words[i]!);
  return values;
}

/** The 16-bit words of F16 or BF16 values; a view of `bytes` where alignment and byte order allow it. */
export function toWords(bytes: Uint8Array): Uint16Array {
  if (littleEndian && bytes.byteOffset % 2 === 0)
    return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Uint16Array.from({ length: bytes.length / 2 }, (_, i) => view.getUint16(i * 2, true));
}

/** Bits of the float32 equal to the float16 with bits `h`. */
export function widenF16(h: number): number {
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
export function narrowF16(x: number): number {
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

/** Bits of the bfloat16 nearest to the float32 with bits `x`, ties to even; beyond 3.39e38 it becomes infinite. */
export function narrowBF16(x: number): number {
  if ((x & 0x7fffffff) > 0x7f800000) return (x >>> 16) | 0x40;
  return (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
}

/**
 * Values rounded to 16 bits, ties to even, at the beginning of `out`.
 * @param name of their tensor, for the error
 * @throws LabError 'bad-input' when a finite value is too large for the type
 */
export function narrowWords(
  name: string,
  values: Float32Array,
  as: Half,
  out = new Uint16Array(values.length),
  advice = LOADED,
): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const narrow = as === 'f16' ? narrowF16 : narrowBF16;
  const infinite = as === 'f16' ? 0x7c00 : 0x7f80;
  for (let i = 0; i < bits.length; i++) {
    const word = narrow(bits[i]!);
    if ((word & 0x7fff) === infinite && Number.isFinite(values[i]!))
      throw tooLarge(name, values[i]!, as, advice);
    out[i] = word;
  }
  return out.subarray(0, values.length);
}

/** Values as they lie in a file, little-endian. @throws LabError as narrowWords */
export function encode(name: string, values: Float32Array, dtype: Dtype): Uint8Array<ArrayBuffer> {
  if (dtype === 'F32') return littleEndianBytes(values, 4);
  return littleEndianBytes(
    narrowWords(name, values, dtype === 'F16' ? 'f16' : 'bf16', undefined, WRITTEN),
    2,
  );
}

/** A copy, since values of a slice are good only until the next. */
function littleEndianBytes(values: Float32Array | Uint16Array, width: 2 | 4): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice();
  if (!littleEndian) for (let i = 0; i < bytes.length; i += width) bytes.subarray(i, i + width).reverse();
  return bytes;
}

/** Values of 16-bit words, exactly. */
export function widenWords(words: Uint16Array, as: Half): Float32Array<ArrayBuffer> {
  const bits = new Uint32Array(words.length);
  if (as === 'bf16') for (let i = 0; i < words.length; i++) bits[i] = words[i]! << 16;
  else for (let i = 0; i < words.length; i++) bits[i] = widenF16(words[i]!);
  return new Float32Array(bits.buffer);
}

/** What a number that is too large did not do, and what to do instead. */
type Advice = (as: Half) => { safe: string; next: string };

const LOADED: Advice = (as) => ({
  safe: 'Nothing was loaded.',
  next: as === 'f16' ? 'Load the model in bf16 or f32.' : 'Load the model in f32.',
});
const WRITTEN: Advice = () => ({ safe: 'Nothing was written.', next: 'Write it in float32 (F32).' });

function tooLarge(name: string, value: number, as: Half, advice: Advice): LabError {
  return new LabError(
    'bad-input',
    `The tensor ${name} holds ${value}, which is too large for ${as}.`,
    advice(as),
  );
}
