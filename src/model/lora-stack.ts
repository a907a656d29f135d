/** Adapters off the GPU: folding them into weights that come by slices, and a stack of them as one. */
import type { LlamaConfig } from '../core/config.ts';
import type { Tensors } from '../core/types.ts';
import {
  adaptedParts,
  adaptedWeight,
  LINEAR_GROUPS,
  linearGroup,
  LORA_TARGETS,
  loraName,
  type LoraConfig,
  type LoraTarget,
} from './lora.ts';

/** An adapter's settings and its tensors by PEFT's names. */
export interface StoredAdapter {
  lora: LoraConfig;
  tensors: Tensors;
}

interface Change {
  scale: number;
  r: number;
  A: Float32Array;
  B: Float32Array;
  /** Columns of the weight. */
  width: number;
}

/**
 * Adds alpha / r · B A of every adapter to a slice of a weight that begins at element `at`; other weights stay as they are.
 * Summed in float64 for one adapter after the other, each rounded to float32, as mergeLora does it.
 */
export function sliceMerger(
  config: LlamaConfig,
  adapters: readonly StoredAdapter[],
): (name: string, at: number, values: Float32Array) => void {
  const changes = new Map<string, Change[]>();
  for (const { lora, tensors } of adapters)
    for (let l = 0; l < config.num_hidden_layers; l++)
      for (const target of lora.targets) {
        const A = tensors.get(loraName(l, target, 'A'))!;
        const B = tensors.get(loraName(l, target, 'B'))!;
        const name = adaptedWeight(l, target);
        const change = { scale: lora.alpha / lora.r, r: lora.r, A: A.data, B: B.data, width: A.shape[1]! };
        changes.set(name, [...(changes.get(name) ?? []), change]);
      }
  return (name, at, values) => {
    for (const { scale, r, A, B, width } of changes.get(name) ?? [])
      for (let n = 0; n < values.length; n++) {
        const i = Math.floor((at + n) / width);
        const j = (at + n) % width;
        let low = 0;
        for (let k = 0; k < r; k++) low += B[i * r + k]! * A[k * width + j]!;
        values[n] = values[n]! + scale * low;
      }
  };
}

/**
 * One adapter that changes a model as the whole stack does: ranks stand one behind the other, and each adapter's own scaling
 * is in its B. One alone is returned as it is.
 */
export function joinAdapters(config: LlamaConfig, adapters: readonly StoredAdapter[]): StoredAdapter {
  if (adapters.length === 1) return adapters[0]!;
  const targets = LORA_TARGETS.filter((t) => adapters.some((a) => a.lora.targets.includes(t)));
  const r = adapters.reduce((sum, a) => sum + a.lora.r, 0);
  const lora: LoraConfig = { r, alpha: r, targets };
  const tensors: Tensors = new Map();
  for (let l = 0; l < config.num_hidden_layers; l++)
    for (const group of LINEAR_GROUPS)
      for (const { target, out } of adaptedParts(config, lora, group)) {
        const width = linearGroup(config, group).in;
        const A = { shape: [r, width], data: new Float32Array(r * width) };
        const B = { shape: [out, r], data: new Float32Array(out * r) };
        place(adapters, l, target, A.data, B.data, { r, width, out });
        tensors.set(loraName(l, target, 'A'), A);
        tensors.set(loraName(l, target, 'B'), B);
      }
  return { lora, tensors };
}

/** Writes every adapter's A and scaled B at its ranks; an adapter without this projection leaves zeros. */
function place(
  adapters: readonly StoredAdapter[],
  layer: number,
  target: LoraTarget,
  A: Float32Array,
  B: Float32Array,
  { r, width, out }: { r: number; width: number; out: number },
): void {
  let first = 0;
  for (const { lora, tensors } of adapters) {
    const own = tensors.get(loraName(layer, target, 'A'));
    if (own) {
      A.set(own.data, first * width);
      const from = tensors.get(loraName(layer, target, 'B'))!.data;
      for (let i = 0; i < out; i++)
        for (let k = 0; k < lora.r; k++) B[i * r + first + k] = (lora.alpha / lora.r) * from[i * lora.r + k]!;
    }
    first += lora.r;
  }
}
