/** `--help` for every command: what its file says at its head (or in its USAGE) is what it prints. */
import { readFileSync } from 'node:fs';

/**
 * The usage that a source file states; undefined where it states none and its own main() explains it.
 *
 * @param {string} file
 */
export function usageOf(file) {
  const text = readFileSync(file, 'utf8');
  const [, header] = /^\/\*\*([^]*?)\*\//.exec(text) ?? [];
  if (header !== undefined) return header.replace(/^ ?\* ?/gm, '').trim();
  return /^const USAGE = `([^`$]*)`;$/m.exec(text)?.[1];
}

/**
 * Prints the usage and ends the process where it is asked for.
 *
 * @param {string} file
 * @param {readonly string[]} args
 */
export function helpIfAsked(file, args) {
  if (!args.includes('--help') && !args.includes('-h')) return;
  const usage = usageOf(file);
  if (usage === undefined) return;
  console.log(usage);
  process.exit(0);
}
