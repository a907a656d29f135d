import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { LabError } from '../core/errors.ts';
import { openGpu, type Gpu } from '../gpu/gpu.ts';
import type { GoldenResult } from '../core/checks.ts';
import type { CaseFiles } from '../selfcheck/golden-case.ts';
import { runGoldenCase } from '../selfcheck/golden.ts';
import { nodeGpu } from './node-gpu.ts';

const USAGE = `npm run golden -- [--shared] DIR...

Runs golden case folders through the engine and compares every stored tensor with its tolerance. A DIR is a case, or a
folder of cases. --shared uses the kernels that need no subgroups. Exits 1 on any miss and on a kind of case that the
engine does not support.`;

/** Files of a golden case's folder. */
export function readCase(dir: string): CaseFiles {
  const files: CaseFiles = {};
  for (const name of readdirSync(dir)) {
    const path = join(dir, name);
    if (statSync(path).isFile()) files[name] = new Uint8Array(readFileSync(path)).buffer;
  }
  return files;
}

const isCase = (dir: string): boolean =>
  existsSync(join(dir, 'config.json')) && existsSync(join(dir, 'meta.json'));

function casesIn(dir: string): string[] {
  if (!existsSync(dir)) throw new LabError('bad-input', `${dir} does not exist.`);
  if (isCase(dir)) return [dir];
  const below = statSync(dir).isDirectory() ? readdirSync(dir).map((name) => join(dir, name)) : [];
  const cases = below.filter(isCase).sort();
  if (cases.length === 0)
    throw new LabError('bad-input', `${dir} is no golden case (config.json, meta.json, ...) and holds none.`);
  return cases;
}

function print(result: GoldenResult): void {
  if (result.unsupported !== null) {
    console.log(`${result.name}: unsupported (${result.unsupported})`);
    return;
  }
  console.log(`${result.name}: ${result.ok ? 'ok' : 'MISS'}`);
  if (result.left !== undefined) console.log(`  not compared: ${result.left}`);
  for (const g of result.groups)
    console.log(
      `  ${g.ok ? 'ok  ' : 'MISS'} ${g.group.padEnd(32)} ${g.error.toExponential(1).padStart(8)}  tolerance ${g.tolerance.toExponential(0)}`,
    );
}

/** Exit code 0 when every case was run and is within tolerance. */
export async function main(argv: string[]): Promise<number> {
  const dirs = argv.filter((a) => !a.startsWith('--'));
  const unknown = argv.find((a) => a.startsWith('--') && a !== '--shared');
  if (dirs.length === 0 || unknown) {
    console.error(unknown ? `Unknown option ${unknown}.\n\n${USAGE}` : USAGE);
    return 2;
  }
  const cases = dirs.flatMap(casesIn);
  const gpu: Gpu = await openGpu({
    gpu: await nodeGpu(),
    ...(argv.includes('--shared') ? { force: { subgroups: false } as const } : {}),
  });
  console.log(`adapter: ${gpu.info.description || gpu.info.vendor}; kernels: ${JSON.stringify(gpu.table)}`);
  let [ok, missed, unsupported] = [0, 0, 0];
  for (const dir of cases) {
    const result = await runGoldenCase(gpu, basename(dir), readCase(dir));
    print(result);
    if (result.unsupported !== null) unsupported++;
    else if (result.ok) ok++;
    else missed++;
  }
  console.log(`${ok} within tolerance, ${missed} missed, ${unsupported} unsupported`);
  return missed > 0 || unsupported > 0 ? 1 : 0;
}
