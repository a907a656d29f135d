import { spawn } from 'node:child_process';
import { exitCode, root } from '../software-gpu.mjs';

/** Dawn (C++) tells on stderr that it rounds limits down so as not to identify the machine. Nobody needs to act on it. */
const chatter = /^.*artificially reduced.*(\r?\n|$)/gm;

/**
 * Passes a child's stderr on, without Dawn's chatter.
 * @param {import('node:stream').Readable} stream
 * @param {(text: string) => void} [take]
 */
export function forwardStderr(stream, take = (text) => void process.stderr.write(text)) {
  stream.setEncoding('utf8');
  stream.on('data', (/** @type {string} */ text) => take(text.replace(chatter, '')));
}

/**
 * Runs Node on a script with its output passed on. Resolves with the exit code as a shell would report it.
 *
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @param {(text: string) => void} [take] gets the output instead of the terminal
 * @returns {Promise<number>}
 */
export function runNode(args, env = process.env, take) {
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: {
      ...env,
      ...(process.stdout.isTTY && !env.NO_COLOR ? { FORCE_COLOR: env.FORCE_COLOR ?? '1' } : {}),
    },
    stdio: ['inherit', take ? 'pipe' : 'inherit', 'pipe'],
  });
  if (child.stderr) forwardStderr(child.stderr, take);
  if (take) child.stdout?.setEncoding('utf8').on('data', take);
  // Ctrl-C reaches the child through the terminal's process group; a signal sent to this process alone must not be lost.
  const pass = (/** @type {NodeJS.Signals} */ signal) => {
    if (!(signal === 'SIGINT' && process.stdin.isTTY)) child.kill(signal);
  };
  const signals = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);
  for (const signal of signals) process.on(signal, pass);
  return new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', (code, signal) => {
      for (const one of signals) process.off(one, pass);
      done(exitCode(code, signal));
    });
  });
}
