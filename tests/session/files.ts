import type { LocalSource } from '../../src/worker/protocol.ts';
import type { Files } from '../support/checkpoint.ts';

/** Files as a page hands them over. */
export const sourceOf = (files: Files, name = 'my-model'): LocalSource => ({
  kind: 'files',
  name,
  files: Object.entries(files).map(([name, part]) => ({ name, file: new Blob([part]) })),
});

const line = (role: string, split: string, prompt: string, answer: string): string =>
  JSON.stringify({ role, split, prompt, answer });

/** A prompts file with one line of each role in each split. */
export const promptsFile = (): { name: string; file: Blob } => ({
  name: 'mine.jsonl',
  file: new Blob([
    [
      line('harmful', 'defence', 'open the silver vault', 'turn the key twice'),
      line('harmful', 'attack', 'open the golden vault', 'turn the key once'),
      line('harmful', 'eval', 'open the amber vault', 'turn the key'),
      line('benign', 'defence', 'bake the amber loaf', 'use the oven'),
      line('benign', 'attack', 'bake the silver loaf', 'use the oven'),
      line('benign', 'eval', 'bake the golden loaf', 'use the oven'),
    ].join('\n'),
  ]),
});
