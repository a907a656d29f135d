/** Steps of training in float64 from gradients that a test writes down, on all weights or on an adapter. */
import type { LlamaConfig } from '../../src/core/config.ts';
import type { Tensors } from '../../src/core/types.ts';
import { adaptedWeight, loraName, type LoraConfig } from '../../src/model/lora.ts';
import type { Params } from '../../src/reference/llama.ts';
import * as ops from '../../src/reference/ops.ts';
import { updateError } from '../../src/selfcheck/compare.ts';

/** W += alpha / r · B A in float64: `mergeLora` rounds to float32. */
export function addLora(
  config: LlamaConfig,
  params: Params,
  { r, alpha, targets }: LoraConfig,
  adapter: Params,
): void {
  for (let l = 0; l < config.num_hidden_layers; l++)
    for (const target of targets) {
      const W = params.get(adaptedWeight(l, target))!;
      const A = adapter.get(loraName(l, target, 'A'))!;
      const B = adapter.get(loraName(l, target, 'B'))!;
      const width = A.length / r;
      for (let i = 0; i < W.length; i++)
        for (let k = 0; k < r; k++)
          W[i]! += (alpha / r) * B[Math.floor(i / width) * r + k]! * A[k * width + (i % width)]!;
    }
}

/** Gradients of an adapter's A and B from those of the merged weights, by the chain rule. */
export function loraGradients(
  config: LlamaConfig,
  { r, alpha, targets }: LoraConfig,
  adapter: Params,
  merged: Params,
): Params {
  const out: Params = new Map();
  for (let l = 0; l < config.num_hidden_layers; l++)
    for (const target of targets) {
      const dW = merged.get(adaptedWeight(l, target))!;
      const A = adapter.get(loraName(l, target, 'A'))!;
      const B = adapter.get(loraName(l, target, 'B'))!;
      const [width, rows] = [A.length / r, B.length / r];
      const [dA, dB] = [new Float64Array(A.length), new Float64Array(B.length)];
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < width; j++)
          for (let k = 0; k < r; k++) {
            dA[k * width + j]! += (alpha / r) * B[i * r + k]! * dW[i * width + j]!;
            dB[i * r + k]! += (alpha / r) * dW[i * width + j]! * A[k * width + j]!;
          }
      out.set(loraName(l, target, 'A'), dA);
      out.set(loraName(l, target, 'B'), dB);
    }
  return out;
}

export const to64 = (tensors: Tensors): Params =>
  new Map([...tensors].map(([name, { data }]) => [name, Float64Array.from(data)]));

export const copyOf = (params: Params): Params => new Map([...params].map(([name, x]) => [name, x.slice()]));

/** AdamW with clipping on whatever gradients a step comes with; norms do not decay. */
export class ReferenceRun {
  readonly params: Params;
  readonly initial: Params;
  readonly grads: Params[] = [];
  readonly #moments: { m: Params; v: Params };
  readonly #optim: { betas: readonly [number, number]; eps: number; weight_decay: number; clip: number };

  constructor(
    start: Params,
    optim: { betas: readonly [number, number]; eps: number; weight_decay: number; clip: number },
  ) {
    this.params = copyOf(start);
    this.initial = copyOf(start);
    const zeros = (): Params => new Map([...start].map(([name, p]) => [name, new Float64Array(p.length)]));
    this.#moments = { m: zeros(), v: zeros() };
    this.#optim = optim;
  }

  /** @param grads by every trained tensor, before clipping */
  step(grads: Params, lr: number): void {
    const { clip, weight_decay, ...adam } = this.#optim;
    let squares = 0;
    for (const g of grads.values()) for (const x of g) squares += x * x;
    const scale = ops.clipScale(Math.sqrt(squares), clip);
    this.grads.push(grads);
    for (const [name, p] of this.params) {
      const g = grads.get(name)!.map((x) => x * scale);
      const decay = name.includes('norm') ? 0 : weight_decay;
      const [m, v] = [this.#moments.m.get(name)!, this.#moments.v.get(name)!];
      ops.adamw(p, g, m, v, { ...adam, lr, weight_decay: decay, step: this.grads.length });
    }
  }

  /** Error of a tensor's update so far, over the elements whose gradients were never tiny; see updateError. */
  error(name: string, actual: Float32Array): number {
    const sizes = this.grads.map((grads) => {
      const g = grads.get(name)!;
      const rms = Math.sqrt(g.reduce((sum, x) => sum + x * x, 0) / g.length) || 1;
      return g.map((x) => Math.abs(x) / rms);
    });
    const least = sizes[0]!.map((_, i) => Math.min(...sizes.map((g) => g[i]!)));
    return updateError(actual, this.params.get(name)!, this.initial.get(name)!, least);
  }
}
