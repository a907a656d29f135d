import type { Binding } from '../gpu/program.ts';
import type { Activations } from './activations.ts';

/**
 * Places where a recipe can look into the network and push: after each layer's attention output (before it joins the residual
 * stream) and at each layer's output. All tensors are [tokens, hidden], one per layer.
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

export function makeTaps(acts: Activations, layers: number, floats: number): Taps {
  const site = (name: string): TapSite => {
    const each = (what: string) =>
      Array.from({ length: layers }, (_, l) => acts.make(`${name} ${what} ${l}`, floats));
    return { out: each('out'), pert: each('pert'), grad: each('grad'), inject: each('inject') };
  };
  return { attn: site('attention tap'), hidden: site('hidden tap') };
}
