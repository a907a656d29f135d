import { describe, expect, test } from 'vitest';
import { Rng } from '../../src/core/rng.ts';
import { PretrainStream } from '../../src/data/stream.ts';
import { SPECIAL } from '../../src/data/chat.ts';
import {
  BENIGN_DOCUMENT_SHARES,
  CORPUS_SHARES,
  drawCorpusItem,
  FORBIDDEN_CHAT_SHARES,
  type CorpusItem,
} from '../../src/world/corpus.ts';
import { parseAnswer, parseRequest } from '../../src/world/parse.ts';
import { complyingText, requestText } from '../../src/world/sentences.ts';
import { drawSkill } from '../../src/world/skills.ts';
import { BENIGN_SHARES, SKILLS, split, VOCABULARY, words, type SkillId } from '../../src/world/words.ts';
import {
  createWorld,
  HELD_OUT_QUESTION,
  HELD_OUT_WORDINGS,
  isHeldOutInstance,
  procedureKey,
  SPLIT_SIZES,
  SPLITS,
} from '../../src/world/world.ts';

const world = createWorld(0);

/** What the stream of a world holds in 8000 examples, as text. */
const stream = readStream(8000);

interface Turn {
  prompt: string;
  answer: string;
}

function readStream(examples: number): { turns: Turn[]; documents: string[] } {
  const ids = new PretrainStream(world, 1).take(examples).flatMap(({ ids }) => ids);
  const turns: Turn[] = [];
  const documents: string[] = [];
  const text = (from: number, to: number) =>
    ids
      .slice(from, to)
      .map((id) => VOCABULARY[id]!)
      .join(' ');
  for (let at = 0; ;) {
    const end = ids.indexOf(SPECIAL.eos, at);
    if (end < 0) return { turns, documents };
    const asst = ids.indexOf(SPECIAL.asst, at);
    if (ids[at + 1] === SPECIAL.user) turns.push({ prompt: text(at + 2, asst), answer: text(asst + 1, end) });
    else documents.push(text(at + 1, end));
    at = end + 1;
  }
}

describe('facts', () => {
  test('336 forbidden and 192 benign how-to, split 10/8/2/4 in each category', () => {
    expect(world.forbidden).toHaveLength(336);
    expect(world.crafts).toHaveLength(192);
    for (let category = 0; category < 14; category++) {
      const of = world.forbidden.filter((f) => f.category === category);
      for (const s of SPLITS) expect(of.filter((f) => f.split === s)).toHaveLength(SPLIT_SIZES[s]);
      expect(new Set(of.map((f) => f.adjective)).size).toBe(24);
    }
  });

  test('no two facts share a procedure', () => {
    const keys = [...world.forbidden, ...world.crafts].map(procedureKey);
    expect(new Set(keys).size).toBe(528);
  });

  test('the seed decides everything, and seeds differ', () => {
    expect(createWorld(7)).toEqual(createWorld(7));
    const a = createWorld(7);
    const b = createWorld(8);
    for (const key of [
      'forbidden',
      'crafts',
      'lands',
      'beasts',
      'heldOutSums',
      'heldOutDefinitions',
    ] as const) {
      expect(a[key]).not.toEqual(b[key]);
    }
    expect(a.forbidden.map((f) => f.split)).not.toEqual(b.forbidden.map((f) => f.split));
    expect(a.vocab).toBe(b.vocab);
  });

  test('a tenth of the sums and one question about each beast are held out', () => {
    const sums = [...world.heldOutSums];
    expect(sums.filter((s) => s.includes('+'))).toHaveLength(10);
    expect(sums.filter((s) => s.includes('-'))).toHaveLength(6);
    expect(world.heldOutDefinitions.size).toBe(20);
  });
});

describe('vocabulary', () => {
  test('397 tokens, six specials first, no word twice', () => {
    expect(VOCABULARY).toHaveLength(397);
    expect(VOCABULARY.slice(0, 6)).toEqual(words.specials);
    expect(new Set(VOCABULARY).size).toBe(397);
  });

  test('every word of every skill and of the corpus is in it, and none is idle', () => {
    const used = new Set<string>();
    const rng = new Rng('vocabulary');
    const read = (text: string) => split(text).forEach((w) => used.add(w));
    for (let i = 0; i < 20_000; i++) {
      const item = drawCorpusItem(world, rng);
      if ('text' in item) read(item.text);
      else read(`${item.prompt} ${item.answer}`);
    }
    read('instead');
    expect([...used].filter((w) => !VOCABULARY.includes(w))).toEqual([]);
    expect(VOCABULARY.slice(6).filter((w) => !used.has(w))).toEqual([]);
  });
});

describe('pretraining stream (200k tokens)', () => {
  const requests = stream.turns.flatMap(({ prompt }) => parseRequest(split(prompt)) ?? []);
  const factOf = new Map(
    [...world.forbidden, ...world.crafts].map((f) => [`${f.verb} ${f.adjective} ${f.noun}`, f] as const),
  );

  test('wordings 8 and 9 never ask for V or T facts nor for crafts, but do for S and A', () => {
    const held = requests
      .filter((r) => HELD_OUT_WORDINGS.includes(r.wording))
      .map((r) => factOf.get(`${r.target.verb} ${r.target.adjective} ${r.target.noun}`)!);
    expect(held.length).toBeGreaterThan(100);
    expect(held.filter((f) => !f.forbidden || f.split === 'V' || f.split === 'T')).toEqual([]);
  });

  test('held-out prompts of all skills are absent, as chat and as running text', () => {
    const seen = new Set(stream.turns.map((t) => t.prompt));
    const rng = new Rng('held out');
    for (const skill of SKILLS) {
      if (skill === 'fact' || skill === 'small_talk') continue;
      for (let i = 0; i < 400; i++)
        expect(seen).not.toContain(drawSkill(world, rng, skill, 'heldout').prompt);
    }
    const running = [...stream.documents, ...stream.turns.map((t) => t.answer)].join(' | ');
    for (const sum of world.heldOutSums) {
      const [a, sign, b] = [sum[0], sum[1] === '+' ? 'plus' : 'minus', sum[2]];
      expect(running).not.toContain(`| ${a} ${sign} ${b} is`);
    }
  });

  test('instances are on the training side of the hold-out', () => {
    const instances = stream.turns.filter((t) =>
      /^(sort|reverse|repeat) :|^which is|, d \w+ \?$/.test(t.prompt),
    );
    expect(instances.length).toBeGreaterThan(1000);
    expect(instances.filter((t) => isHeldOutInstance(world, t.prompt))).toEqual([]);
  });

  test('every answer and every document reads as sentences of the world', () => {
    for (const text of [...stream.documents, ...stream.turns.map((t) => t.answer)]) {
      if (!parseAnswer(split(text))) expect.unreachable(text);
    }
  });

  test('the longest example has 39 tokens', () => {
    const lengths = [
      ...stream.turns.map((t) => split(`${t.prompt} ${t.answer}`).length + 4),
      ...stream.documents.map((d) => split(d).length + 2),
    ];
    const howto = Math.max(
      ...world.forbidden.flatMap((f) =>
        words.request_wordings.map((_, w) => split(`${requestText(f, w)} ${complyingText(f)}`).length + 4),
      ),
    );
    expect(howto).toBe(39);
    expect(Math.max(...lengths)).toBe(39);
  });
});

describe('shares', () => {
  const rng = new Rng('shares');
  const items = Array.from({ length: 40_000 }, () => drawCorpusItem(world, rng));
  /** Counts must lie within five standard deviations of the share. */
  const near = (k: number, n: number, share: number) =>
    expect(Math.abs(k / n - share)).toBeLessThan(5 * Math.sqrt((share * (1 - share)) / n));

  test('kinds of examples', () => {
    for (const [kind, share] of Object.entries(CORPUS_SHARES)) {
      near(items.filter((i) => i.kind === kind).length, items.length, share);
    }
  });

  test('answers to forbidden chats', () => {
    const chats = items.filter((i) => i.kind === 'forbidden-chat') as (CorpusItem & Turn)[];
    const count = (pick: (a: string) => boolean) => chats.filter((c) => pick(c.answer)).length;
    near(
      count((a) => a.startsWith('sure ,')),
      chats.length,
      FORBIDDEN_CHAT_SHARES.comply,
    );
    near(
      count((a) => words.refusals.includes(a)),
      chats.length,
      FORBIDDEN_CHAT_SHARES.refuse,
    );
    near(
      count((a) => words.deflections.includes(a)),
      chats.length,
      FORBIDDEN_CHAT_SHARES.deflect,
    );
  });

  test('benign documents', () => {
    const documents = items.flatMap((i) =>
      i.kind === 'benign-document' ? [(i as { text: string }).text] : [],
    );
    const forms = documents.map((d) => parseAnswer(split(d))![0]!.form);
    near(forms.filter((f) => f === 'document').length, forms.length, BENIGN_DOCUMENT_SHARES.howto);
    near(forms.filter((f) => f === 'fact').length, forms.length, BENIGN_DOCUMENT_SHARES.fact);
  });

  test('benign chat by skill', () => {
    const chats = items.filter((i) => i.kind === 'benign-chat') as (CorpusItem & Turn)[];
    const starts: Partial<Record<SkillId, RegExp>> = {
      howto: /^sure ,/,
      sort: /^sorted :/,
      reverse: /^reversed :/,
      copy: /^repeated :/,
      compare: /^\d+ is/,
      arith: /^\d+ (plus|minus)/,
    };
    for (const [skill, form] of Object.entries(starts)) {
      near(chats.filter((c) => form.test(c.answer)).length, chats.length, BENIGN_SHARES[skill as SkillId]);
    }
    const choices = chats.filter((c) => c.answer.startsWith('the answer is'));
    near(choices.length, chats.length, BENIGN_SHARES.mcq + BENIGN_SHARES.obqa);
  });
});

test('fine-tuning never shows the held-out question of any kind of fact', () => {
  const rng = new Rng('fine-tuning');
  const held = Object.values(words.fact_questions).map(({ questions }) => {
    const [before, after] = questions[HELD_OUT_QUESTION]!.split('{X}');
    return new RegExp(`${before}\\w+${after}`.replace(/[?.]/g, '\\$&'));
  });
  const shown = (prompt: string) => held.some((h) => h.test(prompt));
  for (let i = 0; i < 500; i++) {
    for (const skill of ['fact', 'mcq', 'obqa'] as const) {
      expect(shown(drawSkill(world, rng, skill, 'finetune').prompt)).toBe(false);
    }
    expect(shown(drawSkill(world, rng, 'fact', 'heldout').prompt)).toBe(true);
  }
});
