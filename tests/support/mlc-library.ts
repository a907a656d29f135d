/** A compiled library's list of parameters, as MLC writes it, among bytes that are made here. */
import { shapeJson } from '../../src/cli/models-make.ts';
import { parseLlamaConfig } from '../../src/core/config.ts';
import { mlcShapes } from '../../src/files/mlc/names.ts';

export const config = parseLlamaConfig(shapeJson('smollm2-135m'));
export const shapes = mlcShapes(config);

/** As MLC writes it: keys sorted, memory before the parameters, the length of the vocabulary by its name. */
export const metadata = (
  change: (params: { name: string; shape: unknown[]; dtype: string }[]) => unknown = () => {},
): string => {
  const params = [...shapes].map(([name, shape]) => ({
    dtype: 'float32',
    name,
    preprocs: [],
    shape: name.includes('embed') ? ['vocab_size', shape[1]] : ([...shape] as unknown[]),
  }));
  change(params);
  return JSON.stringify({
    attention_sink_size: -1,
    context_window_size: 8192,
    memory_usage: { batch_decode: 1, prefill: { x: 2 } },
    model_type: 'llama',
    params,
    quantization: 'q0f32',
    tensor_parallel_shards: 1,
  });
};

export const noise = (n: number, seed: number): Uint8Array =>
  Uint8Array.from({ length: n }, (_, i) => (i * 2654435761 + seed * 97) >>> 11);

/** WebAssembly's first bytes, and texts between bytes that are none. */
export const library = (...texts: string[]): Uint8Array =>
  Buffer.concat([
    new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]),
    noise(5000, 1),
    ...texts.flatMap((t, i) => [
      new Uint8Array([0xff, 0, 7]),
      Buffer.from(t),
      new Uint8Array([0]),
      noise(3000, i + 2),
    ]),
  ]);
