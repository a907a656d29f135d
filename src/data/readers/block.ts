/**
 * Rows packed for the store, in few large blocks of bytes: what it is handed as objects or as many small values costs it several times as much.
 *
 * A block is UTF-8: lines of one JSON array each, empty lines between them or behind them meaning nothing. The array holds rows one
 * behind the other, flat, as [line, roles, rest or 0, the messages' texts, the choices' texts], ...
 */
import type { DataRow } from '../rows.ts';

type Role = DataRow['messages'][number]['role'];

const LETTERS: Record<Role, string> = { system: 's', user: 'u', assistant: 'a' };
const ROLES: Record<string, Role> = { s: 'system', u: 'user', a: 'assistant' };

/** Of a row without its texts, what most rows have not. */
interface Rest extends Omit<DataRow, 'line' | 'messages' | 'choices'> {
  choices?: { count: number; right: number };
}

/** Bytes of a block: one is unpacked whole to show a row of it, and is a transaction of its own. */
const BLOCK = 2 ** 20;

/** Characters of one JSON array: its text stays among the objects that are cheap to collect. */
const GROUP = 2 ** 14;

/** Bytes of UTF-8 that a UTF-16 unit takes at most. */
const WIDEST = 3;

const NEWLINE = 0x0a;

function flat({ line, row, messages, categories, safe, opening, choices }: DataRow, into: unknown[]): number {
  let roles = '';
  let characters = 0;
  for (const { role } of messages) roles += LETTERS[role];
  const rest =
    row !== undefined ||
    categories !== undefined ||
    safe !== undefined ||
    opening !== undefined ||
    choices !== undefined
      ? ({
          row,
          categories,
          safe,
          opening,
          choices: choices && { count: choices.texts.length, right: choices.right },
        } satisfies Record<keyof Rest, unknown>)
      : 0;
  into.push(line, roles, rest);
  for (const { content } of messages) {
    into.push(content);
    characters += content.length;
  }
  for (const text of choices?.texts ?? []) {
    into.push(text);
    characters += text.length;
  }
  return characters;
}

/** Gathers rows into blocks. */
export class RowPacker {
  readonly #put: (block: Uint8Array<ArrayBuffer>, rows: number) => Promise<void>;
  readonly #encoder = new TextEncoder();
  readonly #buffer = new Uint8Array(BLOCK);
  #used = 0;
  #rows = 0;

  /** @param put takes a block, which is valid until it has answered, and how many rows are in it */
  constructor(put: (block: Uint8Array<ArrayBuffer>, rows: number) => Promise<void>) {
    this.#put = put;
  }

  async add(rows: readonly DataRow[]): Promise<void> {
    let group: unknown[] = [];
    let characters = 0;
    let first = 0;
    for (let i = 0; i < rows.length; i++) {
      characters += flat(rows[i]!, group);
      if (characters < GROUP && i + 1 < rows.length) continue;
      await this.#write(`${JSON.stringify(group)}\n`, i + 1 - first);
      group = [];
      characters = 0;
      first = i + 1;
    }
  }

  /** Hands on what is left. */
  async end(): Promise<void> {
    if (this.#rows > 0) await this.#hand(this.#buffer.slice(0, this.#used));
  }

  async #write(text: string, rows: number): Promise<void> {
    if (this.#used + text.length * WIDEST > BLOCK && this.#rows > 0) {
      // the same buffer again and again, whole
      this.#buffer.fill(NEWLINE, this.#used);
      await this.#hand(this.#buffer);
    }
    this.#rows += rows;
    if (text.length * WIDEST > BLOCK) return this.#hand(this.#encoder.encode(text));
    this.#used += this.#encoder.encodeInto(text, this.#buffer.subarray(this.#used)).written;
  }

  async #hand(block: Uint8Array<ArrayBuffer>): Promise<void> {
    const rows = this.#rows;
    this.#used = 0;
    this.#rows = 0;
    await this.#put(block, rows);
  }
}

/** Blocks that earlier builds wrote: all texts as one string, and an object for each row. */
export interface FramedRows {
  frames: readonly (Rest & { line: number; roles: string })[];
  text: string;
  /** Length of each text in UTF-16 units: messages of a row, then its choices. */
  lengths: Uint32Array;
}

export type PackedRows = Uint8Array | FramedRows;

export function unpackRows(block: PackedRows): DataRow[] {
  if (!(block instanceof Uint8Array)) return framed(block);
  const rows: DataRow[] = [];
  for (const text of new TextDecoder().decode(block).split('\n')) {
    if (text === '') continue;
    const values = JSON.parse(text) as unknown[];
    let at = 0;
    const next = (): unknown => values[at++];
    while (at < values.length) {
      const [line, roles, rest] = [next() as number, next() as string, next() as Rest | 0];
      rows.push(rowOf(line, roles, rest === 0 ? {} : rest, next as () => string));
    }
  }
  return rows;
}

function framed({ frames, text, lengths }: FramedRows): DataRow[] {
  let at = 0;
  let n = 0;
  const next = (): string => text.slice(at, (at += lengths[n++]!));
  return frames.map(({ line, roles, ...rest }) => rowOf(line, roles, rest, next));
}

/** @param next the texts one after the other: messages, then choices */
function rowOf(line: number, roles: string, { choices, ...rest }: Rest, next: () => string): DataRow {
  const messages = Array.from(roles, (letter) => ({ role: ROLES[letter]!, content: next() }));
  if (!choices) return { line, ...rest, messages };
  const texts = Array.from({ length: choices.count }, next);
  return { line, ...rest, messages, choices: { texts, right: choices.right } };
}
