import { Rng } from '../../core/rng.ts';
import type { ChatMessage } from '../chat-template.ts';
import { promptKey } from '../prompts-file.ts';
import type { DataRow } from '../rows.ts';
import type { Request } from '../task.ts';
import { Breather, type Watch } from './watch.ts';

/** How the columns of a file were read. Read in another way, the same file says something else. */
export interface Reading {
  layout: string;
  /** The first row of a table names its columns. */
  header: boolean;
  /** Fields and the columns that they are read from. */
  mapping: Readonly<Record<string, string | null>>;
}

/** One data file of a user. */
export interface Source extends Reading {
  name: string;
  /** Hex, of the file's bytes. */
  sha256: string;
  rows: readonly DataRow[];
}

/** The order of a mapping's fields says nothing, nor does a field without a column. */
export function readingOf({ layout, header, mapping }: Reading): Reading {
  const used = Object.entries(mapping).filter(([, column]) => column !== null);
  return { layout, header, mapping: Object.fromEntries(used.sort(([a], [b]) => (a < b ? -1 : 1))) };
}

/** The same for the same file read in the same way. */
export function sourceId(source: Omit<Source, 'rows'>): string {
  const [bits] = new Rng(JSON.stringify(readingOf(source))).state();
  return `${source.sha256.slice(0, 16)}-${bits!.toString(16).padStart(8, '0')}`;
}

/** Where a row stands. */
export interface Place {
  source: string;
  line: number;
  /** Its number among the records, where several may stand on a line. */
  row?: number;
}

export const placeOf = ({ source, line, row }: Place): Place => ({
  source,
  line,
  ...(row !== undefined && { row }),
});

/** In the words of a message: "line 3", "line 1, row 3". */
export const placeText = ({ line, row }: Omit<Place, 'source'>): string =>
  row === undefined ? `line ${line}` : `line ${line}, row ${row}`;

/** What a file is used for. */
export const SOURCE_ROLES = ['harmful', 'answers', 'eval', 'attack', 'benign'] as const;
export type SourceRole = (typeof SOURCE_ROLES)[number];

/** Several files may have one role, and one file several roles. */
export type Sources = Readonly<Record<'harmful' | 'answers', readonly Source[]>> &
  Readonly<Partial<Record<SourceRole, readonly Source[]>>>;

/** A row as something to ask, and its answer where it has one. */
export interface Item extends Request, Place {
  /** The same for the same row of the same file, read in the same way; no other row has it. */
  id: string;
  line: number;
  categories: readonly string[];
  /** Equal for prompts that differ in case, spacing and punctuation only. */
  key: string;
}

/** Why a row is not used. */
export type Reason =
  | 'no-prompt'
  | 'no-answer'
  | 'marked-harmless'
  | 'marked-harmful'
  | 'opening-only'
  | 'no-opening'
  | 'duplicate'
  | 'other-category'
  | 'held-out'
  | 'near-held-out'
  | 'attacked'
  | 'near-attacked';

export interface LeftOut {
  role: SourceRole;
  reason: Reason;
  count: number;
  /** The first of them. */
  rows: Place[];
}

/** Rows told for one reason. */
const SHOWN = 5;

/** Counts what is left out, and remembers the first rows of each reason. */
export class LeftOuts {
  #all = new Map<string, LeftOut>();

  add(role: SourceRole, reason: Reason, place: Place): void {
    const known = this.#all.get(`${role}/${reason}`) ?? { role, reason, count: 0, rows: [] };
    this.#all.set(`${role}/${reason}`, known);
    known.count++;
    if (known.rows.length < SHOWN) known.rows.push(placeOf(place));
  }

  list(): LeftOut[] {
    return [...this.#all.values()];
  }

  of(role: SourceRole): LeftOut[] {
    return this.list().filter((one) => one.role === role);
  }
}

/** An affirmative beginning of an answer, up to its first colon, full stop or line end. */
const AFFIRMATIVE =
  /^(?:sure|certainly|of course|absolutely|yes|okay|ok|gladly|here(?:'s|’s| is| are)|물론|네|예|알겠습니다|다음은|여기)(?![\p{L}\p{N}])[^\n:.!。]{0,200}(?:[:.!。]|(?=\n))/iu;

/** Where an answer begins affirmatively, that beginning; else null. */
export function openingOf(answer: string): string | null {
  return AFFIRMATIVE.exec(answer)?.[0].trim() || null;
}

/** What a row asks: all that stands before its last user turn is context. Null: it asks nothing. */
function itemOf(row: DataRow, place: Place, id: string): Item | null {
  const messages = row.messages
    .map(({ role, content }): ChatMessage => ({ role, content: content.trim() }))
    .filter((m) => m.content !== '');
  const answered = messages.at(-1)?.role === 'assistant';
  const asked = answered ? messages.slice(0, -1) : messages;
  const prompt = asked.at(-1);
  if (prompt?.role !== 'user') return null;
  const before = asked.slice(0, -1);
  const said = answered ? messages.at(-1)!.content : null;
  return {
    id,
    ...place,
    prompt: prompt.content,
    ...(before.length > 0 && { before }),
    answer: row.opening ? null : said,
    opening: said === null ? null : row.opening ? said : openingOf(said),
    categories: [...new Set(row.categories ?? [])],
    key: promptKey({ prompt: prompt.content, before }),
  };
}

/** Why a row does not serve in a role, though it asks something. */
function unfit(role: SourceRole, item: Item, safe: boolean | undefined): Reason | null {
  switch (role) {
    case 'harmful':
      return safe === true ? 'marked-harmless' : null;
    case 'attack':
      if (safe === true) return 'marked-harmless';
      return item.answer === null && item.opening === null ? 'no-answer' : null;
    case 'answers':
    case 'benign':
      if (safe === false) return 'marked-harmful';
      if (item.answer === null) return item.opening === null ? 'no-answer' : 'opening-only';
      return null;
    case 'eval':
      return null;
  }
}

/**
 * The rows of a role's files that serve in it. Of rows that ask the same (answers: that answer the same) the first counts, with the
 * categories of all.
 */
export async function itemsOf(
  role: SourceRole,
  sources: readonly Source[],
  out: LeftOuts,
  watch: Watch,
): Promise<Item[]> {
  const byKey = new Map<string, Item>();
  const breather = new Breather(watch);
  for (const source of sources) {
    const own = sourceId(source);
    const numbers = new Map<number, number>();
    for (const [i, row] of source.rows.entries()) {
      await breather.at('read', i, source.rows.length);
      const place = placeOf({ ...row, source: source.name });
      const number = row.row ?? row.line;
      const before = numbers.get(number) ?? 0; // rows of one line that were kept without their numbers
      numbers.set(number, before + 1);
      const item = itemOf(row, place, `${own}:${number}${before === 0 ? '' : `.${before + 1}`}`);
      if (!item) {
        out.add(role, 'no-prompt', place);
        continue;
      }
      const reason = unfit(role, item, row.safe);
      if (reason) {
        out.add(role, reason, item);
        continue;
      }
      // what the file calls harmless is no reference for a harmful answer
      if (role === 'eval' && row.safe === true) [item.answer, item.opening] = [null, null];
      const key = role === 'answers' ? promptKey({ prompt: item.answer! }) : item.key;
      const first = byKey.get(key);
      if (!first) {
        byKey.set(key, item);
        continue;
      }
      out.add(role, 'duplicate', item);
      first.categories = [...new Set([...first.categories, ...item.categories])];
    }
  }
  return [...byKey.values()];
}
