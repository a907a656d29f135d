import type { LlamaConfig } from '../core/config.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Binding, Op } from '../gpu/program.ts';
import type { Dims } from '../kernels/common.ts';
import { matmul, type Matmul } from '../kernels/matmul.ts';
import type { Activations, Keep } from './activations.ts';
import { product } from './linear.ts';
import {
  adaptedParts,
  LINEAR_GROUPS,
  linearGroup,
  loraName,
  type Adapter,
  type GroupPart,
  type LinearGroup,
  type LoraConfig,
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

/** Floats of a stack's buffers, in training (`keep` other than 'nothing') or without. */
export function loraFloats(
  config: LlamaConfig,
  adapters: readonly { config: LoraConfig }[],
  maxTokens: number,
  keep: Keep,
) {
  const width = (lora: LoraConfig, group: LinearGroup): number =>
    adaptedParts(config, lora, group).length * lora.r;
  const widest = Math.max(...adapters.flatMap((a) => LINEAR_GROUPS.map((group) => width(a.config, group))));
  const trained = adapters.at(-1)!.config;
  return {
    low: maxTokens * widest,
    dlow: keep === 'nothing' ? 0 : maxTokens * widest,
    /** Low-rank inputs of the trained adapter: of each layer where all is kept, else of the layer at hand. */
    kept: keep === 'nothing' ? [] : LINEAR_GROUPS.map((group) => maxTokens * width(trained, group)),
    copies: keep === 'all' ? config.num_hidden_layers : 1,
  };
}

/** Where `acts` keep something for a backward pass, so do the low-rank inputs of the last adapter. */
export function loraStack(
  acts: Activations,
  config: LlamaConfig,
  adapters: readonly Adapter[],
  maxTokens: number,
): LoraStack {
  const floats = loraFloats(config, adapters, maxTokens, acts.keep);
  const shared = acts.make('low rank', floats.low);
  if (acts.keep === 'nothing') return { adapters, low: () => shared };
  const last = adapters.length - 1;
  const kept = Array.from({ length: floats.copies }, () =>
    Object.fromEntries(
      LINEAR_GROUPS.map((group, g) => [group, acts.make(`low rank ${group}`, floats.kept[g]!)]),
    ),
  );
  return {
    adapters,
    low: (adapter, layer, group) => (adapter === last ? kept[layer % kept.length]![group]! : shared),
    dlow: acts.make('d low rank', floats.dlow),
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

/** y += alpha / r · (x Aᵀ) Bᵀ for every adapter; W + BA is never formed. `few`: see `product`. */
export function loraForward(
  gpu: Gpu,
  config: LlamaConfig,
  stack: LoraStack,
  at: { layer: number; group: LinearGroup; x: Binding; y: Binding; few: boolean },
): Op<Dims>[] {
  const { in: K, out } = linearGroup(config, at.group);
  return places(config, stack, at.layer, at.group).flatMap((place) => {
    const { adapter, parts, width, low, B } = place;
    const { params } = adapter;
    const { r } = adapter.config;
    const M = 'tokens';
    return [
      ...product(gpu, at.few, lowProduct(place, at.x, K)),
      ...parts.flatMap((part, j) =>
        product(gpu, at.few, {
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

/** alpha / r · x Aᵀ of the adapter in training, for a backward pass that has the layer's input only. */
export function loraLow(
  gpu: Gpu,
  config: LlamaConfig,
  stack: LoraStack,
  at: { layer: number; group: LinearGroup; x: Binding },
): Op<Dims>[] {
  const { in: K } = linearGroup(config, at.group);
  return places(config, stack, at.layer, at.group)
    .filter(({ adapter }) => adapter === stack.adapters.at(-1))
    .map((place) => matmul(gpu, lowProduct(place, at.x, K)));
}

function lowProduct({ adapter, width, low, A }: Place, x: Binding, K: number): Matmul & { layout: 'NT' } {
  const { params, scaling } = adapter;
  return { layout: 'NT', a: x, b: A(params), c: low, M: 'tokens', N: width, K, factor: scaling };
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
