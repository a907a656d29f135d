import { LabError } from '../core/errors.ts';
import type { Tensors } from '../core/types.ts';
import { decode, DTYPE_BYTES, encode, narrowF16, widenF16 } from '../files/dtypes.ts';
import { headerLength, parseHeader } from '../files/safetensors.ts';

/**
 * Reads a small safetensors file as a whole (F32, F16 and BF16, widened to float32); src/files reads large ones.
 * Throws LabError('corrupt-model') naming the tensor on anything the format forbids: every claim of the header is
 * checked against the bytes that are there before memory is taken for it.
 */
export function readSafetensors(
  bytes: Uint8Array,
  file = 'This model file',
): {
  tensors: Tensors;
  metadata: Record<string, string>;
} {
  const length = headerLength(file, bytes.subarray(0, 8), bytes.length);
  const { tensors, metadata } = parseHeader(file, bytes.subarray(8, 8 + length), bytes.length);
  return {
    tensors: new Map(
      [...tensors.values()].map((t) => [
        t.name,
        { shape: t.shape, data: decode(bytes.subarray(t.begin, t.end), t.dtype) },
      ]),
    ),
    metadata,
  };
}

/** Values as they are after a round trip through float16. */
export function roundToF16(data: Float32Array): Float32Array {
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const out = new Uint32Array(data.length);
  for (let i = 0; i < out.length; i++) out[i] = widenF16(narrowF16(bits[i]!));
  return new Float32Array(out.buffer);
}

/**
 * Writes a safetensors file; F16 rounds to nearest, ties to even.
 * @throws LabError 'bad-input' naming a tensor with a finite value that is too large for F16
 */
export function writeSafetensors(
  tensors: Tensors,
  dtype: 'F32' | 'F16',
  metadata: Record<string, string> = { format: 'pt' },
): Uint8Array<ArrayBuffer> {
  const width = DTYPE_BYTES[dtype];
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
  for (const [name, { data }] of tensors) {
    out.set(encode(name, data, dtype), at);
    at += data.length * width;
  }
  return out;
}
