/**
 * Rows packed for the store, in few large blocks: what it is handed as objects or as many small values costs it several times as much.
 *
 * A block is UTF-8: lines of one JSON array each. The array holds rows one behind the other, flat, as
 * [line, roles, rest or 0, the messages' texts, the choices' texts], ...
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

/** Bytes of a piece of a block. */
const PIECE = 2 ** 17;

/** Characters of one JSON array: its text stays among the objects that are cheap to collect. */
const GROUP = 2 ** 14;

/** Bytes of UTF-8 that a UTF-16 unit takes at most. */
const WIDEST = 3;

function flat({ line, messages, categories, safe, opening, choices }: DataRow, into: unknown[]): number {
  let roles = '';
  let characters = 0;
  for (const { role } of messages) roles += LETTERS[role];
  const rest =
    categories !== undefined || safe !== undefined || opening !== undefined || choices !== undefined
      ? ({
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
  readonly #put: (block: Blob, rows: number) => Promise<void>;
  readonly #encoder = new TextEncoder();
  readonly #piece = new Uint8Array(PIECE);
  #used = 0;
  #pieces: Blob[] = [];
  #bytes = 0;
  #rows = 0;

  /** @param put takes a block, and how many rows are in it */
  constructor(put: (block: Blob, rows: number) => Promise<void>) {
    this.#put = put;
  }

  async add(rows: readonly DataRow[]): Promise<void> {
    let group: unknown[] = [];
    let characters = 0;
    for (const [i, row] of rows.entries()) {
      characters += flat(row, group);
      this.#rows++;
      if (characters < GROUP && i + 1 < rows.length) continue;
      this.#write(`${JSON.stringify(group)}\n`);
      if (this.#bytes >= BLOCK) await this.end();
      group = [];
      characters = 0;
    }
  }

  /** Hands on what is left. */
  async end(): Promise<void> {
    this.#close();
    const block = new Blob(this.#pieces);
    const rows = this.#rows;
    this.#pieces = [];
    this.#bytes = 0;
    this.#rows = 0;
    if (rows > 0) await this.#put(block, rows);
  }

  #write(text: string): void {
    if (this.#used + text.length * WIDEST > PIECE) this.#close();
    if (text.length * WIDEST > PIECE) this.#keep(new Blob([text]));
    else this.#used += this.#encoder.encodeInto(text, this.#piece.subarray(this.#used)).written;
  }

  #close(): void {
    if (this.#used > 0) this.#keep(new Blob([this.#piece.subarray(0, this.#used)]));
    this.#used = 0;
  }

  #keep(piece: Blob): void {
    this.#pieces.push(piece);
    this.#bytes += piece.size;
  }
}

/** Blocks of databases up to version 3: all texts as one string, and an object for each row. */
export interface FramedRows {
  frames: readonly (Rest & { line: number; roles: string })[];
  text: string;
  /** Length of each text in UTF-16 units: messages of a row, then its choices. */
  lengths: Uint32Array;
}

export type PackedRows = Blob | FramedRows;

export async function unpackRows(block: PackedRows): Promise<DataRow[]> {
  if (!(block instanceof Blob)) return framed(block);
  const rows: DataRow[] = [];
  for (const text of (await block.text()).split('\n')) {
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
