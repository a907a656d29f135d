import { copyFile, mkdir, open, readdir, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseLlamaConfig, tensorShapes } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import { PUBLISHED_SHAPES } from '../core/known-models.ts';
import { Rng } from '../core/rng.ts';

const llama = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_act: 'silu',
  attention_bias: false,
  mlp_bias: false,
  torch_dtype: 'bfloat16',
};

/** config.json of published models: the shapes are theirs, the weights that are made are noise. */
export const SHAPES: Record<string, Record<string, unknown>> = {
  'smollm2-135m': {
    ...llama,
    ...PUBLISHED_SHAPES['smollm2-135m'],
    rms_norm_eps: 1e-5,
    rope_theta: 100000,
    rope_interleaved: false,
    max_position_embeddings: 8192,
    bos_token_id: 0,
    eos_token_id: 0,
  },
  'smollm2-360m': {
    ...llama,
    ...PUBLISHED_SHAPES['smollm2-360m'],
    rms_norm_eps: 1e-5,
    rope_theta: 100000,
    rope_interleaved: false,
    max_position_embeddings: 8192,
    bos_token_id: 0,
    eos_token_id: 0,
  },
  'tinyllama-1.1b': {
    ...llama,
    ...PUBLISHED_SHAPES['tinyllama-1.1b'],
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    max_position_embeddings: 2048,
    bos_token_id: 1,
    eos_token_id: 2,
  },
  'llama-3.2-1b': {
    ...llama,
    ...PUBLISHED_SHAPES['llama-3.2-1b'],
    rms_norm_eps: 1e-5,
    rope_theta: 500000,
    rope_scaling: {
      rope_type: 'llama3',
      factor: 32,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    },
    max_position_embeddings: 131072,
    bos_token_id: 128000,
    eos_token_id: 128001,
  },
};

/** @throws LabError 'bad-input' naming the shapes that there are */
export function shapeJson(shape: string): Record<string, unknown> {
  const json = Object.hasOwn(SHAPES, shape) ? SHAPES[shape] : undefined;
  if (json) return json;
  throw new LabError('bad-input', `There is no shape "${shape}".`, {
    next: `Use one of: ${Object.keys(SHAPES).join(', ')}.`,
  });
}

/** Values that the noise is cut out of: writing it must not take longer than reading it. */
const NOISE = 1 << 20;
const INIT_STD = 0.02;

/** Normal noise as bfloat16 words, rounded toward zero. */
function noise(seed: number): Uint16Array<ArrayBuffer> {
  const rng = new Rng(`make/${seed}`);
  const values = Float32Array.from({ length: NOISE }, () => rng.normal() * INIT_STD);
  return Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16);
}

/**
 * Writes a checkpoint of a published model's exact names, shapes and type (BF16), with noise for weights: to measure with,
 * and to try the commands on, without a download.
 * @param tokenizerDir a folder whose tokenizer files are copied beside it
 * @throws LabError 'bad-input' when the shape is unknown or the folder already holds something
 */
export async function makeModel(dir: string, shape: string, seed = 0, tokenizerDir?: string): Promise<void> {
  const json = shapeJson(shape);
  if (existsSync(dir) && (await readdir(dir)).length > 0)
    throw new LabError('bad-input', `${dir} is not empty.`, {
      safe: 'Nothing was written.',
      next: 'Name a new folder.',
    });
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, 'config.json'), `${JSON.stringify(json, null, 2)}\n`);
  for (const name of ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json'])
    if (tokenizerDir && existsSync(join(tokenizerDir, name)))
      await copyFile(join(tokenizerDir, name), join(dir, name));

  const shapes = tensorShapes(parseLlamaConfig(json));
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let size = 0;
  for (const [name, of] of shapes) {
    const bytes = of.reduce((a, b) => a * b, 1) * 2;
    header[name] = { dtype: 'BF16', shape: of, data_offsets: [size, size + bytes] };
    size += bytes;
  }
  const text = JSON.stringify(header);
  const padded = text.padEnd(Math.ceil(text.length / 8) * 8);
  const file = await open(join(dir, 'model.safetensors'), 'w');
  try {
    const length = new DataView(new ArrayBuffer(8));
    length.setBigUint64(0, BigInt(padded.length), true);
    await file.write(new Uint8Array(length.buffer));
    await file.write(padded);
    const words = noise(seed);
    const rng = new Rng(`make/${seed}/cut`);
    const ones = new Uint16Array(NOISE).fill(0x3f80);
    for (const [name, of] of shapes) {
      const from = name.endsWith('norm.weight') ? ones : words;
      for (let left = of.reduce((a, b) => a * b, 1); left > 0;) {
        // at another place each time: equal rows would make every token the same
        const at = rng.int(NOISE / 2);
        const part = from.subarray(at, at + Math.min(left, NOISE / 2));
        await file.write(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
        left -= part.length;
      }
    }
  } finally {
    await file.close();
  }
}
