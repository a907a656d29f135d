import type { LlamaConfig } from '../core/config.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Binding, Op } from '../gpu/program.ts';
import type { Dims } from '../kernels/common.ts';
import { matmul } from '../kernels/matmul.ts';
import type { Activations } from './activations.ts';
import {
  adaptedParts,
  LINEAR_GROUPS,
  linearGroup,
  loraName,
  type Adapter,
  type GroupPart,
  type LinearGroup,
} from './lora.ts';
import type { ParamSet } from './params.ts';

/** Adapters one above the other, all of them added to the same frozen weights; only the last can be in training. */
export interface LoraStack {
  adapters: readonly Adapter[];
  /** alpha / r · x Aᵀ of an adapter, [tokens, parts x r]; kept per layer and group where the backward pass reads it. */
  low(adapter: number, layer: number, group: LinearGroup): Binding;
  /** Its gradient, in training. */
  dlow?: Binding;
}

/** @param training the last adapter's low-rank inputs are kept for its gradient */
export function loraStack(
  acts: Activations,
  config: LlamaConfig,
  adapters: readonly Adapter[],
  maxTokens: number,
  training: boolean,
): LoraStack {
  const width = (adapter: Adapter, group: LinearGroup): number =>
    adaptedParts(config, adapter.config, group).length * adapter.config.r;
  const widest = Math.max(...adapters.flatMap((a) => LINEAR_GROUPS.map((group) => width(a, group))));
  const shared = acts.make('low rank', maxTokens * widest);
  if (!training) return { adapters, low: () => shared };
  const last = adapters.length - 1;
  const kept = Array.from({ length: config.num_hidden_layers }, () =>
    Object.fromEntries(
      LINEAR_GROUPS.map((group) => [
        group,
        acts.make(`low rank ${group}`, maxTokens * width(adapters[last]!, group)),
      ]),
    ),
  );
  return {
    adapters,
    low: (adapter, layer, group) => (adapter === last ? kept[layer]![group]! : shared),
    dlow: acts.make('d low rank', maxTokens * widest),
  };
}

/** What one adapter does to one group of projections of one layer. */
interface Place {
  adapter: Adapter;
  parts: GroupPart[];
  /** Columns of the low-rank input: parts x r. */
  width: number;
  low: Binding;
  A: (set: ParamSet) => Binding;
  B: (set: ParamSet, part: GroupPart) => Binding;
}

function places(config: LlamaConfig, stack: LoraStack, layer: number, group: LinearGroup): Place[] {
  return stack.adapters.flatMap((adapter, i) => {
    const parts = adaptedParts(config, adapter.config, group);
    if (parts.length === 0) return [];
    const [first, last] = [parts[0]!, parts.at(-1)!].map((p) => loraName(layer, p.target, 'A'));
    return {
      adapter,
      parts,
      width: parts.length * adapter.config.r,
      low: stack.low(i, layer, group),
      A: (set: ParamSet) => set.binding(first!, last),
      B: (set: ParamSet, part: GroupPart) => set.binding(loraName(layer, part.target, 'B')),
    };
  });
}

/** y += alpha / r · (x Aᵀ) Bᵀ for every adapter; W + BA is never formed. */
export function loraForward(
  gpu: Gpu,
  config: LlamaConfig,
  stack: LoraStack,
  at: { layer: number; group: LinearGroup; x: Binding; y: Binding },
): Op<Dims>[] {
  const { in: K, out } = linearGroup(config, at.group);
  return places(config, stack, at.layer, at.group).flatMap(({ adapter, parts, width, low, A, B }) => {
    const { params, scaling } = adapter;
    const { r } = adapter.config;
    const M = 'tokens';
    return [
      matmul(gpu, { layout: 'NT', a: at.x, b: A(params), c: low, M, N: width, K, factor: scaling }),
      ...parts.map((part, j) =>
        matmul(gpu, {
          layout: 'NT',
          a: low,
          b: B(params, part),
          c: at.y,
          M,
          N: part.out,
          K: r,
          accumulate: true,
          views: { a: { first: j * r, stride: width }, c: { first: part.at, stride: out } },
        }),
      ),
    ];
  });
}

/**
 * dx += alpha / r · (dy B) A for every adapter, and for the last one, which is in training, dA += alpha / r · (dy B)ᵀ x and
 * dB += dyᵀ (alpha / r · x Aᵀ).
 */
export function loraBackward(
  gpu: Gpu,
  config: LlamaConfig,
  stack: LoraStack,
  at: { layer: number; group: LinearGroup; x: Binding; dy: Binding; dx: Binding },
  grads: ParamSet,
): Op<Dims>[] {
  const { in: inner, out } = linearGroup(config, at.group);
  const dlow = stack.dlow!;
  return places(config, stack, at.layer, at.group).flatMap(({ adapter, parts, width, low, A, B }) => {
    const { params, scaling } = adapter;
    const { r } = adapter.config;
    const trained = adapter === stack.adapters.at(-1);
    const dyOf = (part: GroupPart) => ({ first: part.at, stride: out });
    const lowOf = (j: number) => ({ first: j * r, stride: width });
    const ops: Op<Dims>[] = [];
    parts.forEach((part, j) => {
      if (trained)
        ops.push(
          matmul(gpu, {
            layout: 'TN',
            a: at.dy,
            b: low,
            c: B(grads, part),
            M: part.out,
            N: r,
            K: 'tokens',
            accumulate: true,
            views: { a: dyOf(part), b: lowOf(j) },
          }),
        );
      ops.push(
        matmul(gpu, {
          layout: 'NN',
          a: at.dy,
          b: B(params, part),
          c: dlow,
          M: 'tokens',
          N: r,
          K: part.out,
          views: { a: dyOf(part), c: lowOf(j) },
          factor: scaling,
        }),
      );
    });
    if (trained)
      ops.push(
        matmul(gpu, {
          layout: 'TN',
          a: dlow,
          b: at.x,
          c: A(grads),
          M: width,
          N: inner,
          K: 'tokens',
          accumulate: true,
        }),
      );
    ops.push(
      matmul(gpu, {
        layout: 'NN',
        a: dlow,
        b: A(params),
        c: at.dx,
        M: 'tokens',
        N: inner,
        K: width,
        accumulate: true,
      }),
    );
    return ops;
  });
}
