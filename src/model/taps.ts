import type { Binding } from '../gpu/program.ts';
import type { Activations } from './activations.ts';

/**
 * Places where a recipe can look into the network and push: after each layer's attention output (before it joins the residual
 * stream) and at each layer's output. All tensors are [tokens, hidden], one per layer; a list is empty where it was not asked for.
 */
export interface TapSite {
  /** The value, after the forward pass. */
  out: Binding[];
  /** Added to the value as a constant in the forward pass. */
  pert: Binding[];
  /** Gradient of the loss there, after the backward pass (what `inject` adds included). */
  grad: Binding[];
  /** Added to that gradient before it flows on. */
  inject: Binding[];
}

export interface Taps {
  attn: TapSite;
  hidden: TapSite;
}

export type TapName = keyof Taps;

/** `grad as pert`: both in one buffer. The backward pass of one batch leaves what the forward pass of the next one adds. */
export type TapUse = keyof TapSite | 'grad as pert';
export type TapWish = Partial<Record<TapName, readonly TapUse[]>>;

const USES = ['out', 'pert', 'grad', 'inject'] as const;
const EVERY: TapWish = { attn: USES, hidden: USES };

const wishOf = (wish: TapWish | true): TapWish => (wish === true ? EVERY : wish);

/** Tensors of each layer that a wish takes. */
export function tapSets(wish: TapWish | boolean | undefined): number {
  if (!wish) return 0;
  return Object.values(wishOf(wish)).reduce((n, uses) => n + uses.length, 0);
}

export function makeTaps(
  acts: Activations,
  layers: number,
  floats: number,
  wish: TapWish | true = true,
): Taps {
  const site = (name: TapName, label: string): TapSite => {
    const uses = wishOf(wish)[name] ?? [];
    const each = (use: TapUse): Binding[] =>
      uses.includes(use)
        ? Array.from({ length: layers }, (_, l) => acts.make(`${label} ${use} ${l}`, floats))
        : [];
    const both = each('grad as pert');
    const [grad, pert] = both.length > 0 ? [both, both] : [each('grad'), each('pert')];
    return { out: each('out'), pert, grad, inject: each('inject') };
  };
  return { attn: site('attn', 'attention tap'), hidden: site('hidden', 'hidden tap') };
}

/** A tap's tensor of one layer. @throws Error where it was not asked for */
export function tapAt(taps: Taps | undefined, site: TapName, use: keyof TapSite, layer: number): Binding {
  const binding = taps?.[site][use][layer];
  if (!binding) throw new Error('this trainer was made without taps, or has no such layer');
  return binding;
}
