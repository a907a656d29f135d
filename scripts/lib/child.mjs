import { spawn } from 'node:child_process';
import { exitCode, root } from '../software-gpu.mjs';

/** Dawn (C++) tells on stderr that it rounds limits down so as not to identify the machine. Nobody needs to act on it. */
const chatter = /^.*artificially reduced.*(\r?\n|$)/gm;

/**
 * Passes a child's stderr on, without Dawn's chatter.
 * @param {import('node:stream').Readable} stream
 */
export function forwardStderr(stream) {
  stream.setEncoding('utf8');
  stream.on('data', (/** @type {string} */ text) => process.stderr.write(text.replace(chatter, '')));
}

/**
 * Runs Node on a script with its output passed on. Resolves with the exit code as a shell would report it.
 *
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<number>}
 */
export function runNode(args, env = process.env) {
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: {
      ...env,
      ...(process.stdout.isTTY && !env.NO_COLOR ? { FORCE_COLOR: env.FORCE_COLOR ?? '1' } : {}),
    },
    stdio: ['inherit', 'inherit', 'pipe'],
  });
  forwardStderr(child.stderr);
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
