import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { root } from '../../scripts/software-gpu.mjs';

const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};
/** Commands of ours, but for those whose main() lists subcommands itself. */
const commands = Object.entries(scripts).filter(
  ([name, line]) =>
    /^node scripts\/(run|start|test|mutate)\.mjs/.test(line) && !['models', 'data'].includes(name),
);

it.each(commands)('npm run %s -- --help prints its usage, and nothing is run', (name, line) => {
  const [, ...args] = line.split(' ');
  const { stdout, stderr, status } = spawnSync(process.execPath, [...args, '--help'], {
    cwd: root,
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(new RegExp(`^npm (run )?${name}( |$)`));
  expect(stdout).not.toMatch(/^ \*|import /m);
});
