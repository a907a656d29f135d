import { basename, dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { LabError } from '../core/errors.ts';
import {
  inspect,
  LAYOUTS,
  readRows,
  remedy,
  sentence,
  type Choice,
  type CountTokens,
} from '../data/readers/index.ts';
import { readDescription } from '../files/model-files.ts';
import type { FileSource } from '../files/source.ts';
import type { DataCommand } from './data.ts';
import { nodeFile, nodeFolder } from './models-files.ts';
import { tokenizerOf } from './models-open.ts';

const NAMES = LAYOUTS.map(({ id }) => id);

const usage = `inspect FILE [--layout ${NAMES.join('|')}] [--map field=column]... [--no-header] [--tokenizer DIR]
     [--rejected N]`;

const OPTIONS = {
  layout: { type: 'string' },
  map: { type: 'string', multiple: true },
  'no-header': { type: 'boolean', default: false },
  tokenizer: { type: 'string' },
  rejected: { type: 'string', default: '20' },
} as const;

const wrong = (what: string): LabError =>
  new LabError('bad-input', what, { safe: 'Nothing was changed.', next: `npm run data -- ${usage}` });

export const command: DataCommand = {
  usage,
  about: `reads a data file and says as JSON which layout it has, from which columns its fields are read, how many rows it holds and
how long they are, and which rows are left out and why. --map: another column for a field, or none (field=);
--tokenizer: a model's folder, to count tokens on a sample of the rows; --rejected: rows left out that are listed`,
  async run(argv) {
    const { values, positionals } = parseArgs({ args: argv, allowPositionals: true, options: OPTIONS });
    const [path, ...rest] = positionals;
    if (path === undefined || rest.length > 0) throw wrong('"inspect" takes one file.');
    const keepRejected = Number(values.rejected);
    if (!Number.isSafeInteger(keepRejected) || keepRejected < 0)
      throw wrong('--rejected must be a whole number from 0.');
    const choice = { ...choiceOf(values), ...(values['no-header'] && { header: false }) };
    const source = await openDataFile(path);
    const countTokens = values.tokenizer === undefined ? null : await tokensOf(values.tokenizer);
    const { preview, rejected: early, ...found } = await inspect(source, choice);
    void early; // the whole file is read below
    const before = heldBytes();
    let peak = before;
    const start = performance.now();
    const cpu = process.cpuUsage();
    const report = await readRows(source, found, {
      keepRejected,
      ...(countTokens && { countTokens }),
      onProgress: () => (peak = Math.max(peak, heldBytes())),
    });
    const seconds = (performance.now() - start) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    const first = report.rejected.first.map((one) => ({ ...one, what: sentence(one), next: remedy(one) }));
    const reading = {
      seconds: round(seconds),
      /** Of all cores; what others do on the machine does not count. */
      cpuSeconds: round((user + system) / 1e6),
      megabytesPerSecond: round(source.size / 1e6 / seconds),
      /** Largest growth of heap and buffers while it was read, garbage included. */
      peakGrowthBytes: peak - before,
    };
    const { rejected, ...counts } = report;
    console.log(
      JSON.stringify(
        { ...found, ...counts, rejected: { ...rejected, first }, preview: preview.slice(0, 3), reading },
        null,
        2,
      ),
    );
    return 0;
  },
};

function heldBytes(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const round = (x: number): number => Math.round(x * 100) / 100;

/** What `--layout` and `--map` say. @throws LabError */
export function choiceOf({ layout, map }: { layout?: string; map?: string[] }): Choice {
  const id = NAMES.find((one) => one === layout);
  if (layout !== undefined && id === undefined)
    throw wrong(`--layout is "${layout}", and it must be one of ${NAMES.join(', ')}.`);
  const mapping = map?.map((text) => {
    const at = text.indexOf('=');
    if (at < 1) throw wrong(`--map is "${text}", and it must be field=column.`);
    return [text.slice(0, at), text.slice(at + 1) || null] as const;
  });
  return { ...(id && { layout: id }), ...(mapping && { mapping: Object.fromEntries(mapping) }) };
}

async function tokensOf(dir: string): Promise<CountTokens> {
  const tokenizer = tokenizerOf(await readDescription(await nodeFolder(dir)));
  return (text) => tokenizer.encode(text).length;
}

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
