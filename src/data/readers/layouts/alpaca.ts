import { byColumns, isRefusal, oneTurn, textOf } from './common.ts';
import type { Field, Layout } from '../types.ts';

const fields: readonly Field[] = [
  { name: 'instruction', columns: ['instruction'], required: true },
  { name: 'input', columns: ['input'], required: false },
  { name: 'output', columns: ['output'], required: true },
];

/** Taori et al., Stanford Alpaca, 2023. Where there is an `input`, it follows the instruction after an empty line. */
export const alpaca: Layout = {
  id: 'alpaca',
  fields,
  harmful: false,
  recognise: (sample) => byColumns(fields, sample),
  row(get) {
    const instruction = textOf(get('instruction'), 'instruction');
    const input = textOf(get('input') ?? '', 'input');
    const output = textOf(get('output'), 'output');
    if (typeof instruction !== 'string') return instruction;
    if (typeof input !== 'string') return input;
    if (typeof output !== 'string') return output;
    const messages = oneTurn([instruction, input].filter((part) => part !== '').join('\n\n'), output);
    return isRefusal(messages) ? messages : { messages };
  },
};
