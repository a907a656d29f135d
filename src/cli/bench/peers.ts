/**
 * What a user could pick instead, on the same weights and batch: each peer runs in a process of its own, with this engine before
 * and after it, so that both meet the same machine. Packages and programs lie in bench/.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LabError } from '../../core/errors.ts';
import { benchBatch, benchConfig, benchWeights } from './configs.ts';
import { round } from './figures.ts';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const folder = join(root, 'bench');

export const PEERS = ['jax', 'tfjs', 'webgpu-llm'] as const;
const MOST_MS = 40 * 60_000;

interface Measured {
  firstStepMs: number;
  msPerStep: number;
  cpuMsPerStep: number;
  dispatches: number;
  losses: number[];
  tokPerS: number;
  cpuMsPerToken: number;
}

export interface PeerRow extends Omit<Measured, 'losses'> {
  peer: string;
  config: string;
  /** Its CPU time a step over this engine's, the mean of before and after. */
  timesOurs: number | '';
  /** The same of a decoded token. */
  decodingTimesOurs: number | '';
  /** Largest difference of the losses from this engine's. */
  lossDifference: number | '';
  note: string;
}

/** @param only names of peers; all by default @throws LabError where they cannot be installed */
export async function peers(config: string, steps: number, only?: readonly string[]): Promise<PeerRow[]> {
  const chosen = PEERS.filter((p) => !only || only.includes(p));
  if (chosen.length === 0)
    throw new LabError('bad-input', `There is no peer "${only?.join(', ')}".`, {
      next: `Known: ${PEERS.join(', ')}.`,
    });
  install();
  const data = write(config);
  const rows: PeerRow[] = [];
  let before = ours(config, steps);
  for (const peer of chosen) {
    const found = measured([join(folder, `${peer}.mjs`), data, String(steps)], folder);
    const after = ours(config, steps);
    rows.push(rowOf(peer, config, found, [before, after]));
    before = after;
  }
  return [rowOf('this engine', config, before, [before, before]), ...rows];
}

function rowOf(
  peer: string,
  config: string,
  found: Measured | string,
  own: readonly [Measured | string, Measured | string],
): PeerRow {
  if (typeof found === 'string') {
    const none = { firstStepMs: NaN, msPerStep: NaN, cpuMsPerStep: NaN, dispatches: NaN, tokPerS: NaN };
    const blank = { cpuMsPerToken: NaN, timesOurs: '', decodingTimesOurs: '', lossDifference: '' } as const;
    return { peer, config, ...none, ...blank, note: found };
  }
  const { losses, ...figures } = found;
  const sides = own.filter((x): x is Measured => typeof x !== 'string');
  const mean = (f: (m: Measured) => number): number => sides.reduce((sum, m) => sum + f(m), 0) / sides.length;
  // this engine makes a step more, which it does not time
  const difference = losses.map((x, i) => Math.abs(x - (sides[0]?.losses[i] ?? NaN)));
  return {
    peer,
    config,
    ...figures,
    timesOurs: round(found.cpuMsPerStep / mean((m) => m.cpuMsPerStep), 3),
    decodingTimesOurs: round(found.cpuMsPerToken / mean((m) => m.cpuMsPerToken), 3),
    lossDifference: sides[0] ? round(Math.max(...difference), 2) : '',
    note: sides.length < 2 ? 'this engine failed beside it' : '',
  };
}

/** This engine in a process of its own, as the peers are. */
function ours(config: string, steps: number): Measured | string {
  return measured(
    [join(root, 'scripts/lib/entry.mjs'), 'src/cli/bench/alone.ts', config, String(steps)],
    root,
  );
}

/** The line of JSON that a program ends with, or why there is none. */
function measured(args: readonly string[], cwd: string): Measured | string {
  const heap = ['--max-old-space-size=8192'];
  const { stdout, stderr, status, signal } = spawnSync(process.execPath, [...heap, ...args], {
    cwd,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    timeout: MOST_MS,
  });
  const line = stdout.split('\n').find((l) => l.startsWith('RESULT '));
  if (line) return JSON.parse(line.slice('RESULT '.length)) as Measured;
  const last = stderr.trim().split('\n').slice(-2).join(' ');
  return `no result (${signal ?? `exit code ${status}`}): ${last.slice(0, 300)}`;
}

function install(): void {
  if (existsSync(join(folder, 'node_modules'))) return;
  process.stderr.write('Installing the peers into bench/ ...\n');
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (status !== 0)
    throw new LabError('bad-input', 'The peers could not be installed into bench/.', {
      safe: 'The lab itself needs none of them.',
      next: 'Look at what npm says above; they need a network.',
    });
}

/** Weights in the layout of Hugging Face and the batch, as the peers read them. @returns the path of the JSON */
function write(name: string): string {
  const shape = benchConfig(name);
  const out = join(root, '.cache', 'bench');
  mkdirSync(out, { recursive: true });
  let at = 0;
  const entries = [...benchWeights(shape)];
  const tensors = entries.map(([tensor, { shape: size, data }]) => {
    const first = at;
    at += data.length;
    return { name: tensor, shape: size, at: first };
  });
  const flat = new Float32Array(at);
  entries.forEach(([, { data }], i) => flat.set(data, tensors[i]!.at));
  const rows = benchBatch(shape).map((row) => row.ids);
  const file = join(out, `${name}.json`);
  writeFileSync(file.replace(/json$/, 'bin'), flat);
  writeFileSync(
    file,
    JSON.stringify({
      shape,
      tensors,
      tokens: rows.flatMap((ids) => ids.slice(0, -1)),
      targets: rows.flatMap((ids) => ids.slice(1)),
    }),
  );
  return file;
}
