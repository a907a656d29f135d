/** The built page: whether dist/ still belongs to the sources, and making it anew. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { exitCode, root } from '../software-gpu.mjs';

const inputs = [
  'src',
  'shaders',
  'public',
  'index.html',
  'docs/prereg.md',
  'vite.config.ts',
  'svelte.config.js',
  'package-lock.json',
];
const stamp = join(root, 'node_modules', '.cache', 'sdd-lab', 'build-inputs');

/** SHA-256 over the names and contents of everything that the build reads. */
export function inputsHash() {
  const hash = createHash('sha256');
  const add = (/** @type {string} */ path) => {
    const full = join(root, path);
    if (!existsSync(full)) return;
    hash.update(`${path}\0`).update(readFileSync(full)).update('\0');
  };
  for (const input of inputs) {
    const full = join(root, input);
    if (!/\.\w+$/.test(input) && existsSync(full)) {
      const entries = readdirSync(full, { recursive: true, withFileTypes: true });
      const files = entries
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name));
      for (const file of files.sort()) add(file.slice(root.length + 1));
    } else {
      add(input);
    }
  }
  return hash.digest('hex');
}

export function isStale(hash = inputsHash()) {
  const built = existsSync(join(root, 'dist', 'index.html')) && existsSync(stamp);
  return !built || readFileSync(stamp, 'utf8') !== hash;
}

/**
 * Runs `vite build` in a process of its own (the caller's NODE_ENV must not leak into the bundle).
 * @returns {Promise<number>} its exit code
 */
export async function build() {
  const hash = inputsHash();
  rmSync(stamp, { force: true });
  const { NODE_ENV: _, VITEST: __, ...env } = process.env;
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js');
  const child = spawn(process.execPath, [vite, 'build', '--logLevel', 'warn'], {
    cwd: root,
    env,
    stdio: 'inherit',
  });
  /** @type {number} */
  const code = await new Promise((done) =>
    child.on('close', (status, signal) => done(exitCode(status, signal))),
  );
  if (code === 0) {
    mkdirSync(dirname(stamp), { recursive: true });
    writeFileSync(stamp, hash);
  }
  return code;
}
