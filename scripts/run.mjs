/**
 * node scripts/run.mjs ENTRY.ts [ARGS]: runs a command-line entry of src/cli on a GPU (or a software one, see
 * software-gpu.mjs). The entry exports `main(argv: string[]): Promise<number>`; its result is the exit code.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { exitCode, gpuEnv, root } from './software-gpu.mjs';

/** Dawn (C++) tells on stderr that it rounds limits down so as not to identify the machine. Nobody needs to act on it. */
const chatter = /^.*artificially reduced.*(\r?\n|$)/gm;

const { env, software } = gpuEnv();
if (software && process.stderr.isTTY) {
  console.error('GPU: software driver (SwiftShader). SDD_GPU=system uses the driver of this machine.');
}
const child = spawn(process.execPath, [join(root, 'scripts/lib/entry.mjs'), ...process.argv.slice(2)], {
  env: { ...env, ...(process.stderr.isTTY && !env.NO_COLOR ? { FORCE_COLOR: env.FORCE_COLOR ?? '1' } : {}) },
  stdio: ['inherit', 'inherit', 'pipe'],
});
child.stderr.setEncoding('utf8');
child.stderr.on('data', (/** @type {string} */ text) => process.stderr.write(text.replace(chatter, '')));

// Ctrl-C reaches the child through the terminal's process group too; a second delivery of the same signal is harmless
// to an entry that handles it once, and a signal sent to this process alone must not be lost.
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => {
    if (!(signal === 'SIGINT' && process.stdin.isTTY)) child.kill(signal);
  });
}
child.on('close', (code, signal) => process.exit(exitCode(code, signal)));
