import { NEIGHBOUR_ANSWER } from './new-skill.ts';
import { FACT_KINDS, FACT_VALUES, NUMBERS, OPTION_LETTERS, REJECT_JOINT, split, words } from './words.ts';
import type { Procedure } from './world.ts';

/** A target as a sentence names it. Verb and noun belong together; the adjective may be any. */
export interface NamedTarget {
  verb: string;
  adjective: string;
  noun: string;
}

export type SentenceForm =
  | 'howto'
  | 'opening'
  | 'procedure'
  | 'document'
  | 'refusal'
  | 'joint'
  | 'deflection'
  | 'fact'
  | 'definition'
  | 'arithmetic'
  | 'sorted'
  | 'reversed'
  | 'repeated'
  | 'comparison'
  | 'small-talk'
  | 'choice'
  | 'neighbour';

/** One sentence form found in a text, from word `start` up to but without word `end`. */
export interface Sentence {
  form: SentenceForm;
  start: number;
  end: number;
  target?: NamedTarget;
  procedure?: Procedure;
}

type Slots = Record<string, string>;
type Found = { end: number; slots: Slots };

const nounOf = new Map([...words.forbidden, ...words.crafts].map(({ verb, noun }) => [verb, noun]));
const set = (...lists: (readonly string[])[]): ReadonlySet<string> => new Set(lists.flat());
const numbers = set(NUMBERS);
const things = set(words.things);

/** Which words a slot of a template may hold, where its form does not say otherwise. */
const SLOTS: Readonly<Record<string, ReadonlySet<string>>> = {
  V: set([...nounOf.keys()]),
  A: set(words.targets),
  N: set([...nounOf.values()]),
  T: set(words.tools),
  P: set(words.places),
  K: set(words.counts),
  b: set(words.beasts),
  size: set(words.sizes),
  colour: set(words.colours),
  kind: set(words.kinds),
  a: numbers,
  y: numbers,
  c: numbers,
  L: set(OPTION_LETTERS),
  O: set(FACT_VALUES.cap, FACT_VALUES.flag, FACT_VALUES.crop),
};

/** Matches a template word by word at a position; every slot is one word. */
function match(
  template: readonly string[],
  text: readonly string[],
  at: number,
  slots = SLOTS,
): Found | null {
  if (at + template.length > text.length) return null;
  const found: Slots = {};
  for (let i = 0; i < template.length; i++) {
    const want = template[i]!;
    const word = text[at + i]!;
    if (want.startsWith('{')) {
      const name = want.slice(1, -1);
      if (!slots[name]?.has(word)) return null;
      found[name] = word;
    } else if (want !== word) return null;
  }
  return { end: at + template.length, slots: found };
}

const opening = split(words.complying_prefix);
const skeletons = words.procedure_skeletons.map(split);
const documents = words.document_forms.map((form) => split(form.replace(' {B}', '')));

interface PlainForm {
  form: SentenceForm;
  template: readonly string[];
  slots?: typeof SLOTS;
}

/** All sentence forms of fixed length that name no target. */
const plainForms: readonly PlainForm[] = [
  ...words.refusals.map((t) => ({ form: 'refusal' as const, template: split(t) })),
  { form: 'joint', template: split(REJECT_JOINT) },
  ...words.deflections.map((t) => ({ form: 'deflection' as const, template: split(t) })),
  ...words.small_talk.map(({ answer }) => ({ form: 'small-talk' as const, template: split(answer) })),
  ...FACT_KINDS.map((kind) => ({
    form: 'fact' as const,
    template: split(words.fact_questions[kind].answer),
    slots: { X: set(words.lands), Y: set(FACT_VALUES[kind]) },
  })),
  { form: 'definition', template: split(words.skills.define.answer) },
  ...words.skills.arith.answers.map((t) => ({
    form: 'arithmetic' as const,
    template: split(t),
    slots: { a: numbers, b: numbers, c: numbers },
  })),
  ...['larger', 'smaller'].map((word) => ({
    form: 'comparison' as const,
    template: ['{a}', 'is', word, 'than', '{y}', '.'],
  })),
  { form: 'choice', template: split('the answer is {L} : {O} .') },
  { form: 'neighbour', template: split(NEIGHBOUR_ANSWER), slots: { F: things, X: things } },
];

/** "sorted : 3 5 9 ." and its like: a head, then so many members, then a full stop. */
const listForms = [
  { form: 'sorted', head: 'sorted', members: numbers, least: 3, most: 4 },
  { form: 'reversed', head: 'reversed', members: things, least: 3, most: 4 },
  { form: 'repeated', head: 'repeated', members: things, least: 3, most: 5 },
] as const;

function namedTarget({ V, A, N }: Slots): NamedTarget | null {
  return V !== undefined && A !== undefined && N !== undefined && nounOf.get(V) === N
    ? { verb: V, adjective: A, noun: N }
    : null;
}

/**
 * A procedure at a position. The full stop at its end may be missing (`stopped` says so): the three slots are all
 * there without it.
 */
export function procedureAt(
  text: readonly string[],
  at: number,
): { procedure: Procedure; end: number; stopped: boolean } | null {
  for (const [skeleton, template] of skeletons.entries()) {
    const found = match(template.slice(0, -1), text, at);
    if (!found) continue;
    const { T, P, K } = found.slots;
    const stopped = text[found.end] === '.';
    return {
      procedure: { skeleton, tool: T!, place: P!, count: K! },
      end: stopped ? found.end + 1 : found.end,
      stopped,
    };
  }
  return null;
}

/** A target named at a position, "open the silver vault" or "the silver vault . to open it". */
export function targetAt(text: readonly string[], at: number): { target: NamedTarget; end: number } | null {
  for (const template of [split('{V} the {A} {N}'), split('the {A} {N} . to {V} it')]) {
    const found = match(template, text, at);
    const target = found && namedTarget(found.slots);
    if (target) return { target, end: found.end };
  }
  return null;
}

/** The longest sentence form that starts at a position, or null. */
export function sentenceAt(text: readonly string[], at: number): Sentence | null {
  let best: Sentence | null = null;
  const offer = (s: Omit<Sentence, 'start'>) => {
    if (!best || s.end > best.end) best = { start: at, ...s };
  };

  for (const { form, template, slots } of plainForms) {
    const found = match(template, text, at, slots);
    if (found) offer({ form, end: found.end });
  }
  for (const { form, head, members, least, most } of listForms) {
    if (text[at] !== head || text[at + 1] !== ':') continue;
    let end = at + 2;
    while (end < text.length && members.has(text[end]!)) end++;
    const count = end - at - 2;
    if (count >= least && count <= most && text[end] === '.') offer({ form, end: end + 1 });
  }
  const bare = procedureAt(text, at);
  if (bare?.stopped) offer({ form: 'procedure', end: bare.end, procedure: bare.procedure });
  for (const template of [opening, ...documents]) {
    const found = match(template, text, at);
    const target = found && namedTarget(found.slots);
    if (!target) continue;
    const body = procedureAt(text, found.end);
    if (body?.stopped) {
      const form = template === opening ? 'howto' : 'document';
      offer({ form, end: body.end, target, procedure: body.procedure });
    } else if (template === opening) offer({ form: 'opening', end: found.end, target });
  }
  return best;
}

/**
 * Reads a whole answer as sentences of the world, or returns null where it is none. "instead ," stands only behind a
 * refusal; an opening needs a sentence behind it, and so does "instead ,".
 */
export function parseAnswer(text: readonly string[]): Sentence[] | null {
  const sentences: Sentence[] = [];
  for (let at = 0; at < text.length;) {
    const sentence = sentenceAt(text, at);
    if (!sentence) return null;
    if (sentence.form === 'joint' && sentences.at(-1)?.form !== 'refusal') return null;
    sentences.push(sentence);
    at = sentence.end;
  }
  const last = sentences.at(-1)?.form;
  return last === undefined || last === 'joint' || last === 'opening' ? null : sentences;
}

const requests = words.request_wordings.map(split);

/** Reads a question about how to do something: what it asks for, and in which wording. */
export function parseRequest(text: readonly string[]): { target: NamedTarget; wording: number } | null {
  for (const [wording, template] of requests.entries()) {
    const found = text.length === template.length ? match(template, text, 0) : null;
    const target = found && namedTarget(found.slots);
    if (target) return { target, wording };
  }
  return null;
}

/** Words and marks of a text in any spelling: lower case, punctuation apart. */
export function toWords(text: string): string[] {
  return text.toLowerCase().match(/<\w+>|[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu) ?? [];
}
