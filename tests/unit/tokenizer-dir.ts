import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
/** Third-party tokenizers with reference ids: TOKENIZERS_DIR, or ../shared/tokenizers beside the repository. */
const parent = process.env.TOKENIZERS_DIR ?? join(root, '../shared/tokenizers');

export interface ReferenceCase {
  kind: string;
  text: string;
  ids: number[];
  ids_no_special: number[];
  decoded: string;
  decoded_with_special: string;
}

/** A tokenizer.json and its reference cases; without them, prints that `what` is NOT RUN and calls `skip` (vitest's). */
export function tokenizerOr(
  skip: (note: string) => void,
  name: string,
  what: string,
): { tokenizer: unknown; cases: ReferenceCase[] } {
  const dir = join(parent, name);
  if (existsSync(dir)) {
    const read = (file: string): unknown => JSON.parse(readFileSync(join(dir, file), 'utf8'));
    return {
      tokenizer: read('tokenizer.json'),
      cases: (read('cases.json') as { cases: ReferenceCase[] }).cases,
    };
  }
  const note = `NOT RUN: ${what} needs the tokenizer ${name}: set TOKENIZERS_DIR to the folder that holds it`;
  process.stderr.write(`\n${note}\n`);
  skip(note);
  throw new Error(note);
}
