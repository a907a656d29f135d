import { byColumns, isRefusal, oneTurn, textOf } from './common.ts';
import type { Field, Layout } from '../types.ts';

const fields: readonly Field[] = [
  { name: 'goal', columns: ['goal'], required: true },
  { name: 'target', columns: ['target'], required: true },
];

/** harmful_behaviors.csv: Zou et al., Universal and Transferable Adversarial Attacks, 2023. `target` begins the answer. */
export const advbench: Layout = {
  id: 'advbench',
  fields,
  harmful: true,
  recognise: (sample) => byColumns(fields, sample),
  row(get) {
    const goal = textOf(get('goal'), 'goal');
    const target = textOf(get('target'), 'target');
    if (typeof goal !== 'string') return goal;
    if (typeof target !== 'string') return target;
    const messages = oneTurn(goal, target);
    return isRefusal(messages) ? messages : { messages, opening: true };
  },
};
