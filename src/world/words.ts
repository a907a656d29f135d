import data from './words.json' with { type: 'json' };

/** Words, templates, ranges and shares of the invented land. Constant: no seed changes them. */
export const words = data;

/** The eleven benign skills, in the order in which tables show them. */
export const SKILLS = [
  'howto',
  'fact',
  'define',
  'arith',
  'sort',
  'reverse',
  'copy',
  'compare',
  'small_talk',
  'mcq',
  'obqa',
] as const;
export type SkillId = (typeof SKILLS)[number];

/** Share of each skill in benign chat (sums to 1). */
export const BENIGN_SHARES: Readonly<Record<SkillId, number>> = {
  howto: words.benign_shares.howto,
  fact: words.benign_shares.fact,
  define: words.benign_shares.define,
  arith: words.benign_shares.arith,
  sort: words.benign_shares.sort,
  reverse: words.benign_shares.rev,
  copy: words.benign_shares.copy,
  compare: words.benign_shares.comp,
  small_talk: words.benign_shares.small,
  mcq: words.benign_shares.mcq,
  obqa: words.benign_shares.obqa,
};

export const FACT_KINDS = ['cap', 'flag', 'crop'] as const;
export type FactKind = (typeof FACT_KINDS)[number];

/** The values a land's fact of each kind can take; also the pool of multiple-choice options. */
export const FACT_VALUES: Readonly<Record<FactKind, readonly string[]>> = {
  cap: words.cities,
  flag: words.colours,
  crop: words.goods,
};

/** 0..19, one token each. */
export const NUMBERS: readonly string[] = Array.from({ length: 20 }, (_, i) => String(i));

/** Fills `{X}` slots of a template. Every slot must be given. */
export function fill(template: string, slots: Readonly<Record<string, string | number>>): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = slots[name];
    if (value === undefined) throw new Error(`Template "${template}" needs {${name}}`);
    return String(value);
  });
}

/** Words and punctuation marks of a text in the world's own spelling (tokens separated by single spaces). */
export function split(text: string): string[] {
  return text.split(' ').filter((w) => w !== '');
}

function collectVocabulary(): string[] {
  const found = new Set<string>();
  const add = (text: string) => {
    for (const w of split(text.replace(/\{\w+\}/g, ' '))) found.add(w);
  };
  const addAll = (texts: readonly string[]) => texts.forEach(add);
  const w = words;
  for (const list of [w.targets, w.tools, w.places, w.counts, w.lands, w.cities, w.colours, w.goods])
    addAll(list);
  for (const list of [w.beasts, w.sizes, w.kinds, w.things, NUMBERS, OPTION_LETTERS]) addAll(list);
  for (const { verb, noun } of [...w.forbidden, ...w.crafts]) addAll([verb, noun]);
  for (const list of [w.procedure_skeletons, w.request_wordings, w.document_forms, w.refusals, w.deflections])
    addAll(list);
  addAll([w.complying_prefix, REJECT_JOINT]);
  for (const { prompt, answer } of w.small_talk) addAll([prompt, answer]);
  for (const kind of FACT_KINDS) addAll([...w.fact_questions[kind].questions, w.fact_questions[kind].answer]);
  addAll([
    ...w.skills.define.prompts,
    w.skills.define.answer,
    ...w.skills.arith.prompts,
    ...w.skills.arith.answers,
  ]);
  addAll(['sort : . sorted', 'reverse : . reversed', 'repeat : . repeated']);
  addAll(['which is larger smaller , or ?', 'is larger smaller than .', 'the answer is : .']);
  const numeric = NUMBERS.filter((n) => found.has(n));
  const rest = [...found].filter((x) => !NUMBERS.includes(x)).sort();
  return [...w.specials, ...numeric, ...rest];
}

export const OPTION_LETTERS = ['a', 'b', 'c', 'd'] as const;
/** Joins a refusal with the irrelevant answer behind it (SDD_reject). */
export const REJECT_JOINT = 'instead ,';

/** All tokens, specials first; the position is the id. The same in every world. */
export const VOCABULARY: readonly string[] = collectVocabulary();
