/**
 * The lab's archive: checkpoints with all that stands with them, in one zip that any tool opens. Every entry is stored as it is
 * (weights do not compress), so that what a file claims to hold can never be more than the file itself.
 *
 * | entry                | holds                                                        |
 * | -------------------- | ------------------------------------------------------------ |
 * | records/NAME.json    | a list of records of one kind                                 |
 * | weights/N.f32        | weights of one checkpoint, little-endian, in its own order    |
 * | snapshots/N.f16      | one kept step of a run, as it is stored                       |
 * | archive.json         | the last one: which app and version, and SHA-256 of the rest  |
 */
import * as v from 'valibot';
import { LabError } from '../../core/errors.ts';

export const MANIFEST = 'archive.json';
export const ARCHIVE_VERSION = 1;

/** No other entry is read, wherever its name points. */
export const ENTRY_NAME = /^(?:records\/[a-z]{1,20}\.json|weights\/\d{1,6}\.f32|snapshots\/\d{1,6}\.f16)$/;

/** More than any lab holds; beyond that a file only wants to keep the page busy. */
export const MOST_ENTRIES = 50_000;
export const MOST_MANIFEST_BYTES = 32 * 2 ** 20;
/** Of one list of records, which is held as text once. */
export const MOST_RECORD_BYTES = 256 * 2 ** 20;

const bytes = v.pipe(v.number(), v.integer(), v.minValue(0));

export const Manifest = v.object({
  app: v.literal('sdd-lab'),
  version: v.literal(ARCHIVE_VERSION),
  /** Milliseconds since 1970. */
  madeAt: v.pipe(v.number(), v.finite()),
  entries: v.pipe(
    v.array(
      v.object({
        name: v.pipe(v.string(), v.regex(ENTRY_NAME)),
        bytes,
        sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
      }),
    ),
    v.maxLength(MOST_ENTRIES),
  ),
});
export type Manifest = v.InferOutput<typeof Manifest>;

export function badArchive(
  what: string,
  next = 'Choose a file that this lab wrote ("Keep a copy").',
): LabError {
  return new LabError('bad-input', `This file was not taken in: ${what}.`, {
    safe: 'Nothing was changed.',
    next,
  });
}

/** Names that change what an object is, once somebody copies them from it. */
const POISON = new Set(['__proto__', 'constructor', 'prototype']);
const DEEPEST = 64;
/** Characters: the longest text that the lab itself stores is a prompts file. */
const LONGEST_TEXT = 64 * 2 ** 20;

/**
 * JSON from a stranger. @throws LabError 'bad-input' for what is no JSON, is nested without end, or names an object's own workings
 * @param what the file is called
 */
export function strangersJson(text: string, what: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (e) {
    throw badArchive(`${what} is no JSON (${e instanceof Error ? e.message.slice(0, 200) : 'unreadable'})`);
  }
  const open: { value: unknown; depth: number }[] = [{ value, depth: 0 }];
  for (let top = open.pop(); top; top = open.pop()) {
    if (typeof top.value === 'string' && top.value.length > LONGEST_TEXT)
      throw badArchive(`${what} has a text of ${top.value.length} characters`);
    if (typeof top.value !== 'object' || top.value === null) continue;
    if (top.depth > DEEPEST) throw badArchive(`${what} is nested more than ${DEEPEST} times`);
    const inside = Array.isArray(top.value) ? (top.value as unknown[]) : Object.values(top.value);
    if (!Array.isArray(top.value)) {
      const poison = Object.keys(top.value).find((key) => POISON.has(key));
      if (poison !== undefined) throw badArchive(`${what} has a field "${poison}"`);
    }
    for (const one of inside)
      if (typeof one === 'object' || typeof one === 'string') open.push({ value: one, depth: top.depth + 1 });
  }
  return value;
}
