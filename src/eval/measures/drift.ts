/** How far a model has gone from the one that it was made of: in what it expects of benign text, and in its weights. */
import type { Tensors } from '../../core/types.ts';
import { divergence, distributions, type Continuation } from '../tokens.ts';
import type { Scorer } from '../perplexity.ts';

/**
 * Mean KL(model || reference) over the tokens of the texts, in nats.
 * @param reference the distributions of the reference model for the same texts
 */
export async function meanDivergence(
  scorer: Scorer,
  texts: readonly Continuation[],
  reference: readonly (readonly Float64Array[])[],
): Promise<number> {
  const own = await distributions(scorer, texts);
  let sum = 0;
  let tokens = 0;
  own.forEach((row, r) =>
    row.forEach((p, i) => {
      sum += divergence(p, reference[r]![i]!);
      tokens++;
    }),
  );
  return sum / tokens;
}

/** ||after - before|| / ||before|| of a part of the weights. */
export interface WeightChange {
  /** 'embedding', 'layer 0', ..., 'head', 'final norm' */
  part: string;
  relative: number;
}

/** Relative change of the weights by layer, in the order of the model, and of all of them (`all`, last). */
export function weightChange(before: Tensors, after: Tensors): WeightChange[] {
  const sums = new Map<string, { moved: number; size: number }>();
  const add = (part: string, moved: number, size: number): void => {
    const sum = sums.get(part) ?? { moved: 0, size: 0 };
    sums.set(part, { moved: sum.moved + moved, size: sum.size + size });
  };
  for (const [name, { data }] of before) {
    const now = after.get(name)!.data;
    let moved = 0;
    let size = 0;
    for (let i = 0; i < data.length; i++) {
      moved += (now[i]! - data[i]!) ** 2;
      size += data[i]! ** 2;
    }
    add(partOf(name), moved, size);
    add('all', moved, size);
  }
  const all = sums.get('all')!;
  sums.delete('all');
  return [...[...sums].sort(([a], [b]) => place(a) - place(b)), ['all', all] as const].map(
    ([part, { moved, size }]) => ({ part, relative: Math.sqrt(moved / size) }),
  );
}

/** The part of a model that a tensor belongs to. */
export function partOf(name: string): string {
  const layer = /^model\.layers\.(\d+)\./.exec(name)?.[1];
  if (layer !== undefined) return `layer ${layer}`;
  if (name.includes('embed_tokens')) return 'embedding';
  return name.startsWith('lm_head') ? 'head' : 'final norm';
}

function place(part: string): number {
  const layer = /^layer (\d+)$/.exec(part)?.[1];
  if (layer !== undefined) return Number(layer);
  return part === 'embedding' ? -1 : Number.MAX_SAFE_INTEGER;
}
