import { basename, dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { LabError } from '../core/errors.ts';
import { readHead } from '../data/readers/format.ts';
import type { FileSource } from '../files/source.ts';
import type { DataCommand } from './data.ts';
import { nodeFile } from './models-files.ts';

const usage = 'inspect FILE';

export const command: DataCommand = {
  usage,
  about: 'says as JSON what kind of file it is',
  async run(argv) {
    const { positionals } = parseArgs({ args: argv, allowPositionals: true });
    const [path, ...rest] = positionals;
    if (path === undefined || rest.length > 0)
      throw new LabError('bad-input', '"inspect" takes one file.', { next: `npm run data -- ${usage}` });
    const source = await openDataFile(path);
    const { format, gzip } = await readHead(source);
    console.log(JSON.stringify({ file: source.name, bytes: source.size, format, gzip }, null, 2));
    return 0;
  },
};

/** @throws LabError 'not-found' */
export async function openDataFile(path: string): Promise<FileSource> {
  try {
    return await nodeFile(dirname(path), basename(path));
  } catch (cause) {
    throw new LabError('not-found', `The file ${path} cannot be read.`, {
      safe: 'Nothing was written.',
      next: 'Check its path, and that it may be read.',
      cause,
    });
  }
}
