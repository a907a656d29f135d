import type { LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import { Rng } from '../core/rng.ts';
import type { Tensors } from '../core/types.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { widths } from './activations.ts';
import type { ParamEntry, ParamLayout } from './params.ts';
import { ALIGN, ParamSet } from './params.ts';

/** The projections of a layer, by their Hugging Face names. */
export const LORA_TARGETS = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
] as const;
export type LoraTarget = (typeof LORA_TARGETS)[number];

/** LoRA (Hu et al., 2022), as PEFT has it: y = x Wᵀ + alpha / r · (x Aᵀ) Bᵀ with A [r, in] and B [out, r], no dropout. */
export interface LoraConfig {
  r: number;
  alpha: number;
  targets: readonly LoraTarget[];
}

/** Projections that read the same input: the engine multiplies each group as one matrix. */
export const LINEAR_GROUPS = ['qkv', 'o', 'gateUp', 'down'] as const;
export type LinearGroup = (typeof LINEAR_GROUPS)[number];

/** One projection inside its group's output row. */
export interface GroupPart {
  target: LoraTarget;
  /** First column and number of columns in the group's output. */
  at: number;
  out: number;
}

/** Input width, output width and parts of a group. */
export function linearGroup(
  config: LlamaConfig,
  group: LinearGroup,
): { in: number; out: number; parts: GroupPart[] } {
  const w = widths(config);
  const kv = config.num_key_value_heads * config.head_dim;
  switch (group) {
    case 'qkv':
      return {
        in: w.hidden,
        out: w.qkv,
        parts: [
          { target: 'q_proj', at: 0, out: w.attn },
          { target: 'k_proj', at: w.attn, out: kv },
          { target: 'v_proj', at: w.attn + kv, out: kv },
        ],
      };
    case 'o':
      return { in: w.attn, out: w.hidden, parts: [{ target: 'o_proj', at: 0, out: w.hidden }] };
    case 'gateUp':
      return {
        in: w.hidden,
        out: 2 * w.mlp,
        parts: [
          { target: 'gate_proj', at: 0, out: w.mlp },
          { target: 'up_proj', at: w.mlp, out: w.mlp },
        ],
      };
    case 'down':
      return { in: w.mlp, out: w.hidden, parts: [{ target: 'down_proj', at: 0, out: w.hidden }] };
  }
}

/** The parts of a group that an adapter changes, in the order of their A matrices. */
export function adaptedParts(config: LlamaConfig, lora: LoraConfig, group: LinearGroup): GroupPart[] {
  return linearGroup(config, group).parts.filter((part) => lora.targets.includes(part.target));
}

/** Name of an adapter's tensor, as PEFT writes it. */
export function loraName(layer: number, target: LoraTarget, which: 'A' | 'B'): string {
  const block = /^(gate|up|down)/.test(target) ? 'mlp' : 'self_attn';
  return `base_model.model.model.layers.${layer}.${block}.${target}.lora_${which}.weight`;
}

/** Name of the weight that an adapter's tensor belongs to. */
export function adaptedWeight(layer: number, target: LoraTarget): string {
  return loraName(layer, target, 'A').replace('base_model.model.', '').replace('.lora_A', '');
}

/**
 * Layout of an adapter: the A matrices of a group adjoin, since one product makes all their low-rank inputs; every B
 * stands by itself at a binding's boundary. All of it decays, as PEFT and AdamW have it.
 */
export function loraLayout(config: LlamaConfig, lora: LoraConfig): ParamLayout {
  const entries: ParamEntry[] = [];
  let offset = 0;
  const align = (): void => {
    offset = Math.ceil(offset / ALIGN) * ALIGN;
  };
  const place = (name: string, shape: readonly [number, number]): void => {
    const size = shape[0] * shape[1];
    entries.push({ name, shape, offset, size, decayed: true });
    offset += size;
  };
  for (let l = 0; l < config.num_hidden_layers; l++)
    for (const group of LINEAR_GROUPS) {
      const parts = adaptedParts(config, lora, group);
      align();
      for (const { target } of parts)
        place(loraName(l, target, 'A'), [lora.r, linearGroup(config, group).in]);
      for (const { target, out } of parts) {
        align();
        place(loraName(l, target, 'B'), [out, lora.r]);
      }
    }
  align();
  return {
    entries,
    byName: new Map(entries.map((e) => [e.name, e])),
    length: offset,
    decayedLength: offset,
    normStride: 0,
  };
}

/** @throws LabError 'bad-input' naming what is wrong */
export function checkLora({ r, alpha, targets }: LoraConfig): void {
  const wrong =
    !Number.isInteger(r) || r < 1 || r > 512
      ? `a rank of 1 to 512 is wanted, not ${r}`
      : !(alpha > 0) || !Number.isFinite(alpha)
        ? `alpha must be a positive number, not ${alpha}`
        : targets.length === 0
          ? 'it changes no projection'
          : targets.some((t) => !LORA_TARGETS.includes(t))
            ? `it names ${targets.filter((t) => !LORA_TARGETS.includes(t)).join(', ')}; the projections are ${LORA_TARGETS.join(', ')}`
            : null;
  if (wrong)
    throw new LabError('bad-input', `This adapter cannot be made: ${wrong}.`, {
      safe: 'Nothing was changed.',
    });
}

/** A low-rank change of a model's projections, on the GPU beside the weights that it changes. */
export class Adapter {
  readonly config: LoraConfig;
  readonly params: ParamSet;

  /** @throws LabError 'bad-input' */
  constructor(gpu: Gpu, model: LlamaConfig, lora: LoraConfig) {
    checkLora(lora);
    this.config = lora;
    this.params = new ParamSet(gpu, loraLayout(model, lora), 'adapter');
  }

  /** alpha / r */
  get scaling(): number {
    return this.config.alpha / this.config.r;
  }

  /** PEFT's start: A uniform within 1 / sqrt(in) (Kaiming with a = sqrt 5), B zero, so that the model is unchanged. */
  initialise(seed: number | string): void {
    const root = new Rng(`${seed}/lora`);
    const flat = new Float32Array(this.params.layout.length);
    for (const { name, shape, offset, size } of this.params.layout.entries) {
      if (!name.includes('.lora_A.')) continue;
      const rng = root.fork(name);
      const bound = 1 / Math.sqrt(shape[1]!);
      for (let i = 0; i < size; i++) flat[offset + i] = bound * (2 * rng.next() - 1);
    }
    this.params.write(flat);
  }

  async readTensors(): Promise<Tensors> {
    return this.params.tensors(await this.params.read());
  }

  /** @throws LabError 'corrupt-model' when a tensor is missing or has another size */
  writeTensors(tensors: Tensors): void {
    this.params.write(this.params.flatten(tensors));
  }

  destroy(): void {
    this.params.destroy();
  }
}

/** W + alpha / r · B A for every adapted weight; the others as they are. Summed in float64. */
export function mergeLora(
  config: LlamaConfig,
  weights: Tensors,
  lora: LoraConfig,
  adapter: Tensors,
): Tensors {
  const merged: Tensors = new Map(weights);
  for (let l = 0; l < config.num_hidden_layers; l++)
    for (const target of lora.targets) {
      const name = adaptedWeight(l, target);
      const { shape, data } = weights.get(name)!;
      const A = adapter.get(loraName(l, target, 'A'))!.data;
      const B = adapter.get(loraName(l, target, 'B'))!.data;
      const [out, width] = shape as [number, number];
      const sum = new Float32Array(data.length);
      for (let i = 0; i < out; i++)
        for (let j = 0; j < width; j++) {
          let low = 0;
          for (let k = 0; k < lora.r; k++) low += B[i * lora.r + k]! * A[k * width + j]!;
          sum[i * width + j] = data[i * width + j]! + (lora.alpha / lora.r) * low;
        }
      merged.set(name, { shape: [...shape], data: sum });
    }
  return merged;
}
