import { open } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { LabError } from '../core/errors.ts';
import type { DataCommand } from './data.ts';
import { inventedFile, MADE_LAYOUTS } from './data-rows.ts';

const usage = `make FILE --layout ${MADE_LAYOUTS.join('|')} [--mb 1 | --rows N] [--seed S]`;

/** Characters that are written at once. */
const BLOCK = 2 ** 20;

export const command: DataCommand = {
  usage,
  about: 'writes an invented, harmless file in the layout of a published one, to try and to measure with',
  async run(argv) {
    const { values, positionals } = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        layout: { type: 'string' },
        mb: { type: 'string' },
        rows: { type: 'string' },
        seed: { type: 'string', default: '0' },
      },
    });
    const wrong = (what: string): LabError =>
      new LabError('bad-input', what, { safe: 'Nothing was written.', next: `npm run data -- ${usage}` });
    const [path, ...rest] = positionals;
    const layout = MADE_LAYOUTS.find((one) => one === values.layout);
    const [mb, rows, seed] = [Number(values.mb ?? 1), Number(values.rows ?? 1), Number(values.seed)];
    if (path === undefined || rest.length > 0) throw wrong('"make" takes one file.');
    if (!layout) throw wrong(`--layout must be one of ${MADE_LAYOUTS.join(', ')}.`);
    if (!(mb > 0) || !Number.isFinite(mb)) throw wrong('--mb must be a number above 0.');
    if (values.mb !== undefined && values.rows !== undefined) throw wrong('Either --mb or --rows, not both.');
    if (!(rows > 0) || !Number.isSafeInteger(rows)) throw wrong('--rows must be a whole number above 0.');
    if (!Number.isSafeInteger(seed)) throw wrong('--seed must be a whole number.');
    const file = await open(path, 'w');
    try {
      let block = '';
      for (const text of inventedFile(layout, {
        ...(values.rows === undefined ? { bytes: mb * 1e6 } : { rows }),
        seed,
      })) {
        block += text;
        if (block.length < BLOCK) continue;
        await file.write(block);
        block = '';
      }
      await file.write(block);
    } finally {
      await file.close();
    }
    return 0;
  },
};
