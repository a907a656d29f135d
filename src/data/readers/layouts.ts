import { advbench } from './layouts/advbench.ts';
import { alpaca } from './layouts/alpaca.ts';
import { beavertails } from './layouts/beavertails.ts';
import { chat } from './layouts/chat.ts';
import { lima } from './layouts/lima.ts';
import { mmlu } from './layouts/mmlu.ts';
import { openbookqa } from './layouts/openbookqa.ts';
import { pairs } from './layouts/pairs.ts';
import { sharegpt } from './layouts/sharegpt.ts';
import type { Layout, LayoutId, Recognised, Sample } from './types.ts';

/** The first that recognises a file has it: those that want more of it stand before those that want less. */
export const LAYOUTS: readonly Layout[] = [
  beavertails,
  advbench,
  openbookqa,
  mmlu,
  sharegpt,
  lima,
  chat,
  alpaca,
  pairs,
];

export function layoutOf(id: LayoutId): Layout {
  return LAYOUTS.find((layout) => layout.id === id)!;
}

export function recognise(sample: Sample): (Recognised & { layout: Layout }) | null {
  for (const layout of LAYOUTS) {
    const found = layout.recognise(sample);
    if (found) return { layout, ...found };
  }
  return null;
}
