/**
 * Llama's tensors by Hugging Face's names and by MLC's, which stacks the rows of q, k, v and those of gate and up. Rotary
 * positions turn halves in both: no row changes its place.
 */
import { tensorShapes, type LlamaConfig } from '../../core/config.ts';
import { LabError } from '../../core/errors.ts';
import { DTYPE_BYTES } from '../dtypes.ts';
import type { StoredTensor } from '../safetensors.ts';
import type { TensorSource } from './encode.ts';
import { elements } from './manifest.ts';

interface MlcTensor {
  shape: number[];
  /** Whose rows it has, in their order. */
  parts: string[];
}

const STACKED: [RegExp, string][] = [
  [/\.self_attn\.[qkv]_proj\./, '.self_attn.qkv_proj.'],
  [/\.mlp\.(gate|up)_proj\./, '.mlp.gate_up_proj.'],
];

/** Every tensor by MLC's name, in the order of Hugging Face's. */
export function mlcTensors(config: LlamaConfig): Map<string, MlcTensor> {
  const tensors = new Map<string, MlcTensor>();
  for (const [part, shape] of tensorShapes(config)) {
    const [pattern, into] = STACKED.find(([p]) => p.test(part)) ?? [/$^/, ''];
    const name = part.replace(pattern, into);
    const known = tensors.get(name);
    if (known) {
      known.shape[0]! += shape[0]!;
      known.parts.push(part);
    } else tensors.set(name, { shape: [...shape], parts: [part] });
  }
  return tensors;
}

export const mlcShapes = (config: LlamaConfig): Map<string, number[]> =>
  new Map([...mlcTensors(config)].map(([name, { shape }]) => [name, shape]));

/** A model's weights as MLC names and stacks them, slice by slice as the source gives them. */
export function llamaToMlc(
  config: LlamaConfig,
  { values }: { values(name: string): AsyncIterable<{ at: number; values: Float32Array }> },
): TensorSource {
  const tensors = mlcTensors(config);
  const shapes = tensorShapes(config);
  return {
    shapes: mlcShapes(config),
    values: async function* (name) {
      let before = 0;
      for (const part of tensors.get(name)!.parts) {
        for await (const slice of values(part)) yield { at: before + slice.at, values: slice.values };
        before += elements(shapes.get(part)!);
      }
    },
  };
}

/**
 * Stored tensors by Hugging Face's names: the same bytes in the same files, those of a stacked tensor cut into its parts. What
 * MLC does not know keeps its name.
 * @throws LabError 'corrupt-model' when a stacked tensor has another shape than its parts together
 */
export function mlcToLlama(
  config: LlamaConfig,
  stored: ReadonlyMap<string, StoredTensor>,
): Map<string, StoredTensor> {
  const known = mlcTensors(config);
  const shapes = tensorShapes(config);
  const out = new Map<string, StoredTensor>();
  for (const [name, tensor] of stored) {
    const { parts, shape } = known.get(name) ?? { parts: [name], shape: tensor.shape };
    if (parts.length === 1) {
      out.set(name, tensor);
      continue;
    }
    if (shape.join() !== tensor.shape.join()) throw misshapen(name, tensor.shape, shape);
    let { begin } = tensor;
    for (const part of parts) {
      const own = shapes.get(part)!;
      const end = begin + elements(own) * DTYPE_BYTES[tensor.dtype];
      out.set(part, { ...tensor, name: part, shape: own, begin, end });
      begin = end;
    }
  }
  return out;
}

const misshapen = (name: string, found: readonly number[], wanted: readonly number[]): LabError =>
  new LabError(
    'corrupt-model',
    `The bundle's weights do not fit its configuration: "${name}" has shape [${found.join(', ')}] instead of [${wanted.join(', ')}].`,
    { safe: 'Nothing was loaded.', next: 'Check that all files come from the same model and are complete.' },
  );
