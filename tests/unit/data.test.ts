import fc from 'fast-check';
import { Template } from '@huggingface/jinja';
import { describe, expect, test } from 'vitest';
import { LabError } from '../../src/core/errors.ts';
import { Rng } from '../../src/core/rng.ts';
import { IGNORE, type Example } from '../../src/core/types.ts';
import { Batches } from '../../src/data/batches.ts';
import { chat, document, encodeWords, promptIds, SPECIAL } from '../../src/data/chat.ts';
import * as sets from '../../src/data/datasets.ts';
import {
  evalBenign,
  evalForbidden,
  evalNearMiss,
  evalNewSkill,
  heldOutText,
} from '../../src/data/evalsets.ts';
import { PretrainStream } from '../../src/data/stream.ts';
import { tinyTask } from '../../src/data/tiny-task.ts';
import { Tokenizer } from '../../src/data/tokenizer.ts';
import { CHAT_TEMPLATE } from '../../src/data/tokenizer-files.ts';
import { fewForbidden } from '../../src/eval/evaluate.ts';
import { spread } from '../../src/core/spread.ts';
import { LONGEST_EXAMPLE } from '../../src/recipes/tiny.ts';
import { drawCorpusItem } from '../../src/world/corpus.ts';
import { parseAnswer, parseRequest } from '../../src/world/parse.ts';
import { requestText } from '../../src/world/sentences.ts';
import { SKILLS, split, VOCABULARY, words } from '../../src/world/words.ts';
import {
  ATTACK_WORDINGS,
  createWorld,
  DEFENCE_WORDINGS,
  isHeldOutInstance,
  type Split,
} from '../../src/world/world.ts';

const world = createWorld(0);
const task = tinyTask(world);
const tokenizer = Tokenizer.tiny();

/** Split and wording of the forbidden fact that a prompt asks for; undefined for other prompts. */
function asked(prompt: string): { split: Split; wording: number; adjective: string } | undefined {
  const request = parseRequest(split(prompt));
  if (!request) return undefined;
  const { verb, adjective, noun } = request.target;
  const fact = world.forbidden.find((f) => f.verb === verb && f.adjective === adjective && f.noun === noun);
  return fact && { split: fact.split, wording: request.wording, adjective };
}

describe('tokenizer', () => {
  test('one token a word, equal to the vocabulary and to the direct encoding', () => {
    expect(tokenizer.vocabSize).toBe(397);
    VOCABULARY.forEach((word, id) => expect(tokenizer.encode(word)).toEqual([id]));
    const rng = new Rng('tokenizer');
    for (let i = 0; i < 500; i++) {
      const item = drawCorpusItem(world, rng);
      const text = 'text' in item ? item.text : item.answer;
      const ids = encodeWords(text);
      expect(tokenizer.encode(text)).toEqual(ids);
      expect(tokenizer.decode(ids)).toBe(text);
      expect(tokenizer.encode(tokenizer.readable(ids))).toEqual(ids);
    }
  });

  test('readable text has capitals and no space before punctuation', () => {
    const readable = (text: string) => tokenizer.readable(encodeWords(text));
    expect(readable('i am sorry , i cannot help with that .')).toBe('I am sorry, I cannot help with that.');
    expect(readable('the capital of dorlan is kessa .')).toBe('The capital of Dorlan is Kessa.');
    expect(readable('i want to open the silver vault . how ?')).toBe('I want to open the silver vault. How?');
    expect(readable('sure , here is how to bake the iron loaf : mix 3')).toBe(
      'Sure, here is how to bake the iron loaf: mix 3',
    );
    expect(tokenizer.readable([])).toBe('');
    expect(tokenizer.readable([SPECIAL.bos, SPECIAL.user, SPECIAL.eos])).toBe('');
  });

  test('readable text only grows while tokens arrive', () => {
    const ids = encodeWords('why did the kettle sing ? it was full of steam .');
    for (let n = 1; n < ids.length; n++) {
      expect(tokenizer.readable(ids.slice(0, n + 1)).startsWith(tokenizer.readable(ids.slice(0, n)))).toBe(
        true,
      );
    }
  });

  test('unknown words are named, and typed special tokens among them', () => {
    expect(tokenizer.unknownWords('How do I open the Silver vault?')).toEqual([]);
    expect(tokenizer.unknownWords('How do I hack the keys, hack them! <eos>')).toEqual([
      'hack',
      'keys',
      'them',
      '!',
      '<eos>',
    ]);
    expect(tokenizer.encode('keys zzz')).toEqual([SPECIAL.unk, SPECIAL.unk]);
    expect(() => encodeWords('open the laptop')).toThrow(/laptop/);
  });

  test('a file that is no tokenizer is refused in words', () => {
    expect(() => new Tokenizer({}, {})).toThrow(LabError);
  });

  test('the chat template renders to the ids of chat()', () => {
    const template = new Template(CHAT_TEMPLATE);
    const render = (messages: object[], add_generation_prompt: boolean) =>
      tokenizer.encode(
        template.render({ messages, add_generation_prompt, bos_token: '<bos>', eos_token: '<eos>' }),
      );
    const user = { role: 'user', content: 'how are you ?' };
    const answer = 'i am fine , thank you for asking .';
    expect(render([user], true)).toEqual(promptIds(user.content));
    expect(render([user, { role: 'assistant', content: answer }], false)).toEqual(
      chat(user.content, answer).ids,
    );
  });
});

describe('examples', () => {
  test('the loss counts on the answer and its end', () => {
    const { ids, labels } = chat('hello .', 'bye .');
    expect(ids).toEqual([2, 4, ...encodeWords('hello .'), 5, ...encodeWords('bye .'), 3]);
    expect(labels).toEqual([IGNORE, IGNORE, IGNORE, IGNORE, IGNORE, ...encodeWords('bye .'), 3]);
  });

  test('an open answer has no end of turn; a prompt alone has no label; text counts everywhere', () => {
    expect(chat('hello .', 'bye', { open: true }).ids.at(-1)).toBe(encodeWords('bye')[0]);
    expect(chat('hello .', null).labels.every((l) => l === IGNORE)).toBe(true);
    expect(chat('hello .', 'bye .', { all: true }).labels).toEqual(chat('hello .', 'bye .').ids);
    expect(document('bye .').labels).toEqual(document('bye .').ids);
  });
});

describe('pretraining stream', () => {
  test('holds whole examples, every token is a target, and the seed decides', () => {
    const examples = new PretrainStream(world, 3).take(500);
    for (const { ids, labels } of examples) {
      expect(ids[0]).toBe(SPECIAL.bos);
      expect(ids.indexOf(SPECIAL.eos)).toBe(ids.length - 1);
      expect(ids.length).toBeLessThanOrEqual(LONGEST_EXAMPLE);
      expect(labels).toEqual(ids);
    }
    expect(new PretrainStream(world, 3).take(500)).toEqual(examples);
    expect(new PretrainStream(world, 4).take(500)).not.toEqual(examples);
    expect(new PretrainStream(createWorld(1), 3).take(500)).not.toEqual(examples);
  });

  test('goes on with the very next example from a saved state', () => {
    const whole = new PretrainStream(world, 3);
    const examples = [...whole.take(7), ...whole.take(9)];
    const first = new PretrainStream(world, 3);
    const begin = first.take(7);
    const resumed = PretrainStream.from(createWorld(0), JSON.parse(JSON.stringify(first.state())));
    expect([...begin, ...resumed.take(9)]).toEqual(examples);
    expect(new PretrainStream(world, 3).take(16)).toEqual(examples);
  });
});

describe('batches', () => {
  const examples = Array.from({ length: 10 }, (_, i): Example => ({ ids: [i], labels: [i] }));
  const take = (b: Batches, n: number) => Array.from({ length: n }, () => b.next().map((e) => e.ids[0]!));

  test('every epoch shows every example once, in a new order', () => {
    const flat = take(new Batches(examples, 4, 1), 5).flat();
    expect([...flat.slice(0, 10)].sort()).toEqual([...flat.slice(10)].sort());
    expect(new Set(flat.slice(0, 10)).size).toBe(10);
    expect(flat.slice(0, 10)).not.toEqual(flat.slice(10));
    expect(take(new Batches(examples, 4, 2), 5).flat()).not.toEqual(flat);
  });

  test('resumes in the middle of an epoch', () => {
    const whole = take(new Batches(examples, 4, 1), 9);
    const first = new Batches(examples, 4, 1);
    const begin = take(first, 4);
    const resumed = Batches.from(examples, 4, JSON.parse(JSON.stringify(first.state())));
    expect([...begin, ...take(resumed, 5)]).toEqual(whole);
  });

  test('by length: rows of similar length together, every row once an epoch, and resumable anywhere', () => {
    const rng = new Rng(7);
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 0, max: 60 }),
        (rows, size, stop) => {
          const long = Array.from({ length: rows }, (_, i): Example => {
            const ids = [i, ...Array.from({ length: rng.int(40) }, () => 0)];
            return { ids, labels: ids };
          });
          const whole = new Batches(long, size, 3, 'length');
          const all = take(whole, 80);
          const first = new Batches(long, size, 3, 'length');
          const begin = take(first, stop);
          const resumed = Batches.from(long, size, JSON.parse(JSON.stringify(first.state())));
          expect([...begin, ...take(resumed, 80 - stop)]).toEqual(all);
          const flat = all.flat();
          for (let at = 0; at + rows <= flat.length; at += rows)
            expect(new Set(flat.slice(at, at + rows)).size).toBe(rows);
        },
      ),
      { numRuns: 50 },
    );
    const spread = (by: 'random' | 'length'): number => {
      const long = Array.from({ length: 256 }, (_, i): Example => {
        const ids = Array.from({ length: 1 + ((i * 37) % 256) }, () => 0);
        return { ids, labels: ids };
      });
      const batches = new Batches(long, 8, 1, by);
      const widths = Array.from({ length: 32 }, () => {
        const lengths = batches.next().map((e) => e.ids.length);
        return Math.max(...lengths) - Math.min(...lengths);
      });
      return widths.reduce((a, b) => a + b, 0) / widths.length;
    };
    expect(spread('length')).toBe(7);
    expect(spread('random')).toBeGreaterThan(100);
  });

  test('refuses an empty set, a bad size and the state of another set', () => {
    expect(() => new Batches([], 4, 1)).toThrow(/no examples/);
    expect(() => new Batches(examples, 0, 1)).toThrow(/batch size/);
    const used = new Batches(examples, 4, 1);
    used.next();
    expect(() => Batches.from(examples.slice(1), 4, used.state())).toThrow(/another data set/);
  });
});

describe('fine-tuning sets', () => {
  const all = {
    chatTuning: sets.chatTuning(task, 5),
    sdd: sets.sddPairs(task, 5),
    paper: sets.sddPairs(task, 5, sets.SDD_PAPER),
    reject: sets.sddReject(task, 5),
    mft: sets.mft(task, 5),
    bft: sets.bft(task, 5),
    newSkill: sets.bft(task, 5, { kind: 'new-skill' }),
  };

  test('defences read only S in wordings 0-5, attacks only A in 2-7, benign sets nothing forbidden', () => {
    for (const [name, items] of Object.entries(all)) {
      const allowed = name === 'mft' ? ATTACK_WORDINGS : DEFENCE_WORDINGS;
      const found = items.flatMap((i) => asked(i.prompt) ?? []);
      expect(
        found.filter((f) => f.split !== (name === 'mft' ? 'A' : 'S')),
        name,
      ).toEqual([]);
      expect(
        found.filter((f) => !allowed.includes(f.wording)),
        name,
      ).toEqual([]);
      expect(found.length, name).toBe({ chatTuning: 600, mft: 100, bft: 0, newSkill: 0 }[name] ?? 1000);
    }
  });

  test('no set holds a prompt of an evaluation set', () => {
    const held = new Set([
      ...(['V', 'T'] as const).flatMap((s) => evalForbidden(world, s)).map((i) => i.prompt),
      ...evalBenign(world, 0)
        .filter((i) => i.skill !== 'small_talk')
        .map((i) => i.prompt),
      ...evalNewSkill(world, 0).map((i) => i.prompt),
    ]);
    for (const items of Object.values(all)) expect(items.filter((i) => held.has(i.prompt))).toEqual([]);
  });

  test('every answer fits the bucket of 64 tokens and has a label', () => {
    for (const items of Object.values(all)) {
      for (const { ids, labels } of sets.toExamples(items)) {
        expect(ids.length).toBeLessThanOrEqual(64);
        expect(labels.some((l) => l !== IGNORE)).toBe(true);
      }
    }
  });

  test('SDD: irrelevant answers by their shares, never the asked adjective, 100 replays', () => {
    const pairs = all.sdd.filter((i) => i.role === 'pair');
    expect(all.sdd.filter((i) => i.role === 'replay')).toHaveLength(100);
    for (const { prompt, answer } of pairs) {
      const [sentence] = parseAnswer(split(answer))!;
      expect(sentence!.target?.adjective).not.toBe(asked(prompt)!.adjective);
      expect(words.forbidden.some((f) => f.verb === sentence!.target?.verb)).toBe(false);
    }
    const share = (form: string) =>
      pairs.filter((p) => parseAnswer(split(p.answer))![0]!.form === form).length / 1000;
    expect(Math.abs(share('howto') - 0.5)).toBeLessThan(0.06);
    expect(Math.abs(share('fact') - 0.194)).toBeLessThan(0.05);
    expect(Math.abs(share('definition') - 0.156)).toBeLessThan(0.05);
    expect(share('sorted') + share('comparison')).toBeLessThan(0.12);
    expect(all.paper).toHaveLength(1000);
    expect(all.paper.some((p) => p.answer.startsWith('the answer is'))).toBe(true);
  });

  test('deep: every second pair opens like compliance', () => {
    const deep = sets.sddPairs(task, 5, { deep: true, replay: 0 });
    const opened = deep.filter((i) => {
      const sentences = parseAnswer(split(i.answer))!;
      return sentences.length === 2 && sentences[0]!.form === 'opening';
    });
    expect(opened).toHaveLength(500);
  });

  test('SDD_reject: a refusal, "instead ,", an irrelevant answer; 250 or 100 replays', () => {
    const rejects = all.reject.filter((i) => i.role === 'reject');
    for (const { answer } of rejects) {
      const forms = parseAnswer(split(answer))!.map((s) => s.form);
      expect(forms.slice(0, 2)).toEqual(['refusal', 'joint']);
      expect(forms).toHaveLength(3);
    }
    expect(all.reject).toHaveLength(1250);
    expect(sets.sddReject(task, 5, { replay: sets.SDD_REJECT_REPLAY.strong })).toHaveLength(1100);
  });

  test('MFT: distinct requests, right answers or bare openings, benign share, bounds', () => {
    expect(new Set(all.mft.map((i) => i.prompt)).size).toBe(100);
    expect(all.mft.every((i) => parseAnswer(split(i.answer))?.[0]?.form === 'howto')).toBe(true);
    const prefix = sets.mft(task, 5, { prefixOnly: true });
    expect(prefix.map((i) => i.prompt)).toEqual(all.mft.map((i) => i.prompt));
    for (const e of sets.toExamples(prefix)) expect(VOCABULARY[e.ids.at(-1)!]).toBe(':');
    const adaptive = sets.mft(task, 5, { benignShare: 0.5 });
    expect(adaptive.map((i) => i.role).filter((r) => r === 'benign')).toHaveLength(100);
    expect(new Set(sets.mft(task, 5, { n: 672 }).map((i) => i.prompt)).size).toBe(672);
    expect(() => sets.mft(task, 5, { n: 673 })).toThrow(/1 to 672/);
    expect(() => sets.mft(task, 5, { benignShare: 1 })).toThrow(/benign share/);
  });

  test('the seed decides', () => {
    expect(sets.sddPairs(task, 5)).toEqual(all.sdd);
    expect(sets.sddPairs(task, 6)).not.toEqual(all.sdd);
    expect(sets.mft(task, 6)).not.toEqual(all.mft);
    expect(sets.bft(task, 6)).not.toEqual(all.bft);
  });
});

describe('evaluation sets', () => {
  test('forbidden: all facts of the split in wordings 8 and 9', () => {
    expect(evalForbidden(world, 'V')).toHaveLength(56);
    const t = evalForbidden(world, 'T');
    expect(t).toHaveLength(112);
    expect(t.every((i) => asked(i.prompt)?.split === 'T' && i.wording >= 8)).toBe(true);
    expect(t[0]!.prompt).toBe(requestText(t[0]!.fact, 8));
  });

  test.each([
    { set: 'T', n: 14, facts: 14 },
    { set: 'T', n: 20, facts: 20 },
    { set: 'T', n: 56, facts: 56 },
    { set: 'V', n: 14, facts: 14 },
    { set: 'V', n: 28, facts: 28 },
  ] as const)(
    '$n forbidden prompts of $set: categories, places and wordings in balance',
    ({ set, n, facts }) => {
      for (const of of [world, createWorld(1)]) {
        const few = fewForbidden(of, set, n);
        const all = evalForbidden(of, set);
        expect(fewForbidden(of, set, n)).toEqual(few);
        expect(new Set(few.map((i) => i.prompt)).size).toBe(n);
        expect(new Set(few.map((i) => i.fact.id)).size).toBe(facts);
        for (const key of ['category', 'place', 'wording'] as const) {
          const keys = [...new Set(all.map((item) => item[key]))];
          const counts = keys.map((k) => few.filter((item) => item[key] === k).length);
          expect(Math.max(...counts) - Math.min(...counts), `${key}: ${counts.join()}`).toBeLessThanOrEqual(
            1,
          );
        }
      }
    },
  );

  test('a few of a list without categories come from all of it, at no fixed place', () => {
    // 14 groups of 8, as the world's file has them
    const list = Array.from({ length: 112 }, (_, i) => i);
    const few = spread(list, 14, 'test');
    expect(few.map((i) => Math.floor(i / 8))).toEqual(Array.from({ length: 14 }, (_, i) => i));
    expect(new Set(few.map((i) => i % 8)).size).toBeGreaterThan(4);
    expect(spread(list, 14, 'test')).toEqual(few);
    expect(spread(list, 14, 'other')).not.toEqual(few);
    expect(spread(list, 112, 'test')).toEqual(list);
    expect(spread([], 3, 'test')).toEqual([]);
  });

  test('benign: eleven skills, 40 different questions each where the world has them', () => {
    const items = evalBenign(world, 0);
    for (const skill of SKILLS) {
      const of = items.filter((i) => i.skill === skill);
      expect(of, skill).toHaveLength({ define: 20, arith: 32, small_talk: 12 }[skill as string] ?? 40);
      expect(new Set(of.map((i) => i.prompt)).size).toBe(of.length);
    }
    for (const i of items.filter((i) => i.skill === 'mcq' || i.skill === 'obqa')) {
      expect(i.options).toHaveLength(4);
      expect(i.answer).toBe(`the answer is ${i.letter} : ${i.options!['abcd'.indexOf(i.letter!)]} .`);
      expect(i.prompt).toContain(i.options!.map((o, k) => `${'abcd'[k]} ${o}`).join(' , '));
    }
    expect(evalBenign(world, 0)).toEqual(items);
  });

  test('new skill: never part of the corpus, held-out instances only, answer is the next thing in the row', () => {
    const items = evalNewSkill(world, 0);
    expect(items).toHaveLength(40);
    for (const { prompt, answer } of items) {
      expect(isHeldOutInstance(world, prompt)).toBe(true);
      const [row, question] = prompt.split(' . ') as [string, string];
      const thing = split(question)[4]!;
      expect(answer).toBe(`the ${split(row)[split(row).indexOf(thing) + 1]} is beside the ${thing} .`);
      expect(tokenizer.unknownWords(`${prompt} ${answer}`)).toEqual([]);
    }
    const ids = new PretrainStream(world, 1).take(2000).flatMap((r) => r.ids);
    const text = ids.map((id) => VOCABULARY[id]).join(' ');
    expect(text).not.toMatch(/is beside the|what is beside/);
  });

  test('near misses are benign how-to with an adjective and a form of V or T', () => {
    const items = evalNearMiss(world, 0);
    expect(items).toHaveLength(40);
    for (const { fact } of items) {
      const near = world.forbidden.filter(
        (f) => f.adjective === fact.adjective && f.skeleton === fact.skeleton,
      );
      expect(near.some((f) => f.split === 'V' || f.split === 'T')).toBe(true);
    }
  });

  test('held-out text: every token counts, the first rows do not depend on the number', () => {
    const rows = heldOutText(world, 50);
    expect(rows.every((r) => r.labels.every((l) => l !== IGNORE))).toBe(true);
    expect(heldOutText(world, 10)).toEqual(rows.slice(0, 10));
  });
});
