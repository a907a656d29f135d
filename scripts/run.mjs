/**
 * node scripts/run.mjs ENTRY.ts [ARGS]: runs a command-line entry of src/cli on a GPU (or a software one, see
 * software-gpu.mjs). The entry exports `main(argv: string[]): Promise<number>`; its result is the exit code.
 */
import { join } from 'node:path';
import { runNode } from './lib/child.mjs';
import { helpIfAsked } from './lib/help.mjs';
import { gpuEnv, root } from './software-gpu.mjs';

const [entry, ...args] = process.argv.slice(2);
if (entry !== undefined) helpIfAsked(join(root, entry), args);
const { env, software } = gpuEnv();
if (software && process.stderr.isTTY) {
  console.error('GPU: software driver (SwiftShader). SDD_GPU=system uses the driver of this machine.');
}
process.exit(await runNode([join(root, 'scripts/lib/entry.mjs'), ...process.argv.slice(2)], env));
