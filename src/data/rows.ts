import type { ChatMessage } from './chat-template.ts';

/** One row of a user's data file, in whatever layout it came: what is asked, and what is answered. */
export interface DataRow {
  /** Where it begins in the file, from 1: the line of a text, the row of a table. */
  line: number;
  /** Its number among the file's records, from 1, where several may stand on one line: elements of a JSON array. */
  row?: number;
  /** At most one system message first, then turns, user first. The answer, where there is one, comes last. */
  messages: readonly ChatMessage[];
  /** Kinds of harm, or the subject of a question; a row may have several. */
  categories?: readonly string[];
  /** What the file says of the answer: BeaverTails' `is_safe`. */
  safe?: boolean;
  /** The answer is a beginning only: AdvBench's `target`. */
  opening?: boolean;
  /** A question with choices, which `messages` ask without them; `right` counts from 0. */
  choices?: { texts: readonly string[]; right: number };
}
