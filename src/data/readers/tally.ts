/** What is counted while a file is read. */
import type { DataRow } from '../rows.ts';
import { Rng } from '../../core/rng.ts';
import { Lengths, type LengthSummary } from './lengths.ts';
import { Fingerprint, Seen, type Bits } from './seen.ts';
import type { Note, Reason, Refusal, Rejected } from './types.ts';

export interface ReadReport {
  /** Rows that are kept. */
  rows: number;
  rejected: {
    rows: number;
    byReason: Partial<Record<Reason, number>>;
    /** The first of them. */
    first: readonly Rejected[];
  };
  notes: Partial<Record<Note, number>>;
  /** Rows of each category, most first; a row may have several. */
  categories: readonly { name: string; rows: number }[];
  /** Rows without any, in a file that has them. */
  uncategorised: number;
  /** What the file says of its answers. */
  safe: number;
  unsafe: number;
  /** Rows with more than one question, and with a system message. */
  severalTurns: number;
  system: number;
  distinctPrompts: number;
  /** Of all messages of a row, and of choices. */
  characters: LengthSummary;
  /** The same in tokens, of a sample of the rows; null where there is no tokenizer. */
  tokens: LengthSummary | null;
}

/** Rejected rows that are kept to be shown. */
export const KEPT_REJECTED = 100;

/** Rows whose tokens are counted. */
const MEASURED = 1000;

/** Categories that are counted by name; more of them are no categories. */
const CATEGORIES = 500;

export type CountTokens = (text: string) => number;

const textsOf = ({ messages, choices }: DataRow): string[] => [
  ...messages.map((message) => message.content),
  ...(choices?.texts ?? []),
];

export class Tally {
  readonly #report = {
    rows: 0,
    rejected: 0,
    safe: 0,
    unsafe: 0,
    severalTurns: 0,
    system: 0,
    uncategorised: 0,
  };
  readonly #kept: number;
  readonly #first: Rejected[] = [];
  readonly #reasons: Partial<Record<Reason, number>> = {};
  readonly #notes: Partial<Record<Note, number>> = {};
  readonly #categories = new Map<string, number>();
  readonly #characters = new Lengths();
  readonly #countTokens: CountTokens | null;
  /** A uniform sample of the rows so far (Vitter's algorithm R). */
  readonly #sample: string[][] = [];
  readonly #rng = new Rng('data/lengths');
  readonly #seen = new Seen();
  readonly #print = new Fingerprint();
  readonly #prompt: Bits = new Uint32Array(2);
  readonly #row: Bits = new Uint32Array(2);

  constructor(countTokens: CountTokens | null = null, kept = KEPT_REJECTED) {
    this.#countTokens = countTokens;
    this.#kept = kept;
  }

  get rows(): number {
    return this.#report.rows;
  }

  get rejected(): number {
    return this.#report.rejected;
  }

  reject(line: number, refusal: Refusal, excerpt: () => string, row?: number): void {
    this.#report.rejected++;
    this.#reasons[refusal.reason] = (this.#reasons[refusal.reason] ?? 0) + 1;
    // a slice would hold the whole part of the file that it was cut from
    if (this.#first.length < this.#kept)
      this.#first.push(
        structuredClone({ line, ...(row !== undefined && { row }), ...refusal, excerpt: excerpt() }),
      );
  }

  /** Counts a row, or says that the same stood there before. */
  take(row: DataRow, notes: readonly Note[]): Refusal | null {
    const { messages, choices, categories } = row;
    const last = messages.at(-1)!;
    const answered = last.role === 'assistant';
    const print = this.#print;
    print.reset();
    let characters = 0;
    let questions = 0;
    for (const message of messages) {
      const { role, content } = message;
      characters += content.length;
      if (role === 'user') questions++;
      if (answered && message === last) continue;
      print.add(role);
      print.add(content);
    }
    print.into(this.#prompt);
    if (answered) print.add(last.content);
    for (const text of choices?.texts ?? []) {
      characters += text.length;
      print.add(text);
    }
    print.into(this.#row);
    const { same, asked } = this.#seen.add(this.#prompt, this.#row, row.row ?? row.line);
    if (same !== null)
      return { reason: 'duplicate', detail: row.row === undefined ? String(same) : `#${same}` };
    for (const note of notes) this.#note(note);
    if (asked) this.#note('same-prompt');

    const report = this.#report;
    report.rows++;
    if (row.safe === true) report.safe++;
    if (row.safe === false) report.unsafe++;
    if (messages[0]!.role === 'system') report.system++;
    if (questions > 1) report.severalTurns++;
    if (categories?.length === 0) report.uncategorised++;
    for (const name of categories ?? []) {
      if (!this.#categories.has(name) && this.#categories.size >= CATEGORIES) continue;
      this.#categories.set(name, (this.#categories.get(name) ?? 0) + 1);
    }
    this.#characters.add(characters);
    if (this.#countTokens) this.#measure(row);
    return null;
  }

  #note(note: Note): void {
    this.#notes[note] = (this.#notes[note] ?? 0) + 1;
  }

  #measure(row: DataRow): void {
    const at = this.#sample.length < MEASURED ? this.#sample.length : this.#rng.int(this.#report.rows);
    if (at < MEASURED) this.#sample[at] = structuredClone(textsOf(row));
  }

  report(): ReadReport {
    const { rows, rejected, ...counts } = this.#report;
    const count = this.#countTokens;
    const tokens = new Lengths();
    if (count)
      for (const texts of this.#sample) tokens.add(texts.reduce((sum, text) => sum + count(text), 0));
    return {
      rows,
      rejected: { rows: rejected, byReason: { ...this.#reasons }, first: [...this.#first] },
      notes: { ...this.#notes },
      categories: [...this.#categories]
        .map(([name, n]) => ({ name, rows: n }))
        .sort((a, b) => b.rows - a.rows || (a.name < b.name ? -1 : 1)),
      ...counts,
      distinctPrompts: this.#seen.questions,
      characters: this.#characters.summary(),
      tokens: count && tokens.summary(),
    };
  }
}
