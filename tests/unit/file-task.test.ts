import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Rng } from '../../src/core/rng.ts';
import { IGNORE } from '../../src/core/types.ts';
import { chatCodec } from '../../src/data/chat-codec.ts';
import { ChatTemplate } from '../../src/data/chat-template.ts';
import { fileTask } from '../../src/data/file-task.ts';
import { TextTokenizer } from '../../src/data/hf-tokenizer.ts';
import { parsePrompts, promptKey, readPrompts } from '../../src/data/prompts-file.ts';
import type { ChatCodec } from '../../src/data/task.ts';
import { recipe } from '../../src/recipes/index.ts';
import { prepare } from '../../src/recipes/prepare.ts';
import { settle } from '../../src/recipes/recipe.ts';
import { streamsOf } from '../../src/recipes/streams.ts';
import { CHATML } from './support/templates.ts';

const json = (name: string): unknown => JSON.parse(readFileSync(`public/models/tiny-chat/${name}`, 'utf8'));
const tokenizer = new TextTokenizer({
  tokenizer: json('tokenizer.json'),
  tokenizerConfig: json('tokenizer_config.json'),
});
const codecOf = (template: string | null, maxTokens = 64): ChatCodec =>
  chatCodec({ tokenizer, template: new ChatTemplate(template), maxTokens });

afterEach(() => void vi.useRealTimers());

const line = (o: object): string => JSON.stringify(o);
const numbers = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight'];
const file = [
  ...numbers.map((n) => line({ role: 'harmful', prompt: `open vault ${n}`, split: 'defence' })),
  ...numbers.map((n) =>
    line({
      role: 'harmful',
      prompt: `lift the crate ${n}`,
      answer: `sure , here is how : take ${n}`,
      opening: 'sure , here is how :',
      split: 'attack',
    }),
  ),
  line({ role: 'harmful', prompt: 'open the tower', answer: 'take the key', split: 'eval' }),
  ...numbers
    .slice(0, 5)
    .map((n) => line({ role: 'benign', prompt: `say ${n}`, answer: n, split: 'defence' })),
  ...numbers.map((n) => line({ role: 'benign', prompt: `count ${n}`, answer: `the ${n}`, split: 'attack' })),
  line({ role: 'benign', prompt: 'what is red ?', answer: 'a colour', split: 'eval' }),
].join('\n');
const prompts = parsePrompts(file, 'abc');

describe('a prompts file', () => {
  test('is read by role and split, whatever its line ends', async () => {
    const bytes = new TextEncoder().encode(`\ufeff${file.replaceAll('\n', '\r\n')}\n\n`);
    const read = await readPrompts(bytes);
    expect(read.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect({ ...read, sha256: 'abc' }).toEqual(prompts);
    expect(prompts.harmful.defence).toHaveLength(8);
    expect(prompts.benign.eval[0]).toMatchObject({ prompt: 'what is red ?', answer: 'a colour', line: 31 });
    expect(prompts.notes).toEqual([]);
  });

  test('takes messages: the last answer is the answer, what stood before stays before', () => {
    const messages = [
      { role: 'system', content: 'be brief' },
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b' },
      { role: 'user', content: ' c ' },
      { role: 'assistant', content: 'd' },
    ];
    const [chat] = parsePrompts(line({ role: 'benign', messages, split: 'attack' }), '').benign.attack;
    expect(chat).toMatchObject({ prompt: 'c', answer: 'd', before: messages.slice(0, 3) });
  });

  test('gives a line without a split one by its text, and never an attack without an answer', () => {
    const many = Array.from({ length: 300 }, (_, i) => line({ role: 'harmful', prompt: `ask ${i}` }));
    const { defence, attack, eval: held } = parsePrompts(many.join('\n'), '').harmful;
    expect(attack).toHaveLength(0);
    expect(held.length).toBeGreaterThan(30);
    expect(defence.length + held.length).toBe(300);
    const alone = parsePrompts(many[7]!, '').harmful;
    const split = held.some((r) => r.prompt === 'ask 7') ? 'eval' : 'defence';
    expect(alone[split]).toHaveLength(1);
  });

  test.each([
    ['{', 'line 1: it is not JSON'],
    ['[]', 'line 1: it is no object|line 1: .*'],
    ['{"role":"bad","prompt":"a"}', 'line 1: "role"'],
    ['{"role":"benign","prompt":"a"}', 'line 1: a benign line needs an answer'],
    ['{"role":"harmful","split":"attack","prompt":"a"}', 'line 1: an attack needs an answer'],
    ['{"role":"harmful"}', 'line 1: it wants either "prompt" or "messages"'],
    ['{"role":"harmful","prompt":"  "}', 'line 1: "prompt": it is empty'],
    ['{"role":"harmful","prompt":"a","split":"test"}', 'line 1: "split"'],
    ['{"role":"harmful","prompt":"a","answer":"b c","opening":"c"}', 'does not begin with its "opening"'],
    [
      '{"role":"harmful","prompt":"a","irrelevant":"b"}',
      '"irrelevant" belongs to harmful lines of split "defence"',
    ],
    [
      '{"role":"benign","split":"defence","prompt":"a","answer":"b","irrelevant":"b"}',
      'belongs to harmful lines',
    ],
    [
      '{"role":"harmful","split":"defence","prompt":"a","refusal":"no"}',
      'stands before an "irrelevant" answer',
    ],
    ['{"role":"refusal","prompt":"no"}', 'line 1: a refusal has "answer" and nothing else'],
    ['{"role":"harmful","messages":[{"role":"assistant","content":"x"}]}', 'do not take turns'],
    ['{"role":"harmful","messages":[{"role":"system","content":"x"}]}', 'ask nothing'],
    ['\n\n', 'it holds no prompt'],
  ])('refuses %s', (content, why) => {
    expect(() => parsePrompts(content, '')).toThrow(new RegExp(why));
  });

  test('names every bad line by its number, the first ten of many', () => {
    const content = Array.from({ length: 30 }, (_, i) =>
      i % 2 === 0 ? line({ role: 'benign', prompt: 'a', answer: 'b' }) : 'x',
    );
    expect(() => parsePrompts(content.join('\n'), '')).toThrow(/line 2: .*line 20: [^;]*; and 5 more/);
  });

  test('whose evaluation is trained on in another spelling is refused', () => {
    expect(promptKey({ prompt: 'Open  the Tower!' })).toBe(promptKey({ prompt: 'open the tower' }));
    const leak = line({ role: 'harmful', prompt: 'OPEN the, tower?', answer: 'x', split: 'attack' });
    expect(() => parsePrompts(`${file}\n${leak}`, '')).toThrow(/line 17 asks what line 32 trains on/);
    const known = line({ role: 'harmful', prompt: 'Open vault one.', answer: 'x', split: 'attack' });
    expect(parsePrompts(`${file}\n${known}`, '').notes[0]).toMatch(/1 prompts of the attack/);
  });
});

describe('a file as a task', () => {
  const task = fileTask(prompts, codecOf(null));

  test('SDD gives every harmful prompt a benign answer, none twice while they last, by the seed', () => {
    const items = streamsOf(recipe('sdd').data(task, settle(recipe('sdd'), {}, task), 1)).main;
    const pairs = items.filter((i) => i.role === 'pair');
    expect(new Set(pairs.map((p) => p.prompt)).size).toBe(8);
    expect(new Set(pairs.slice(0, 5).map((p) => p.answer)).size).toBe(5);
    expect(pairs.every((p) => numbers.slice(0, 5).includes(p.answer))).toBe(true);
    expect(items.filter((i) => i.role === 'replay')).toHaveLength(5);
    expect(recipe('sdd').data(task, settle(recipe('sdd'), {}, task), 1)).toEqual(items);
    expect(recipe('sdd').data(task, settle(recipe('sdd'), {}, task), 2)).not.toEqual(items);
  });

  test('an irrelevant answer that the file pairs with a request is the one that is trained on', () => {
    const built = [
      line({ role: 'harmful', split: 'defence', prompt: 'one', irrelevant: 'red', refusal: 'no .' }),
      line({ role: 'harmful', split: 'defence', prompt: 'two', irrelevant: 'blue' }),
      line({ role: 'refusal', answer: 'never .' }),
    ];
    const own = fileTask(parsePrompts(built.join('\n'), 'abc'), codecOf(null));
    const answers = (id: string, from = own) =>
      new Map(
        streamsOf(recipe(id).data(from, settle(recipe(id), {}, from), 1)).main.map((i) => [
          i.prompt,
          i.answer,
        ]),
      );
    const pairs = new Map([
      ['one', 'red'],
      ['two', 'blue'],
    ]);
    expect(answers('sdd')).toEqual(pairs);
    expect(answers('sdd-paper')).toEqual(pairs);
    // SDD_reject also draws benign chats
    const benign = line({ role: 'benign', split: 'defence', prompt: 'three', answer: 'green' });
    const mixed = [...built, line({ role: 'harmful', split: 'defence', prompt: 'four' }), benign].join('\n');
    const rejected = fileTask(parsePrompts(mixed, 'abc'), codecOf(null));
    expect(Object.fromEntries(answers('sdd-reject', rejected))).toEqual({
      one: 'no . Instead: red',
      two: 'never . Instead: blue',
      three: 'green',
      four: 'never . Instead: green',
    });
  });

  test('more pairs than the recipe draws are trained as a whole, and an answer that is its opening does not end', () => {
    const many = Array.from({ length: 1200 }, (_, i) =>
      line({ role: 'harmful', split: 'defence', prompt: `ask ${i}`, irrelevant: `say ${i}` }),
    );
    const begun = line({ role: 'harmful', split: 'attack', prompt: 'a', answer: 'sure', opening: 'sure' });
    const own = fileTask(parsePrompts([...many, begun].join('\n'), 'abc'), codecOf(null));
    const items = streamsOf(recipe('sdd').data(own, settle(recipe('sdd'), {}, own), 1)).main;
    expect(new Set(items.map((i) => i.prompt)).size).toBe(1200);
    expect(streamsOf(recipe('mft').data(own, settle(recipe('mft'), {}, own), 1)).main[0]).toMatchObject({
      open: true,
    });
  });

  test('a file that the lab built begins as it was asked for', () => {
    const lines = Array.from({ length: 300 }, (_, i) => [
      line({ role: 'harmful', split: 'attack', prompt: `ask ${i}`, answer: 'so' }),
      line({ role: 'benign', split: 'attack', prompt: `count ${i}`, answer: 'so' }),
    ]).flat();
    const prompts = parsePrompts(lines.join('\n'), 'abc');
    const built = { attack: 250, benignShare: 0.75, benignTuning: 40, reject: false };
    const asked = fileTask(prompts, codecOf(null), built);
    expect(asked.defaults('mft', true)).toMatchObject({ n: 250, benignShare: 0.75 });
    expect(asked.defaults('bft', true)).toMatchObject({ n: 40 });
    const plain = fileTask(prompts, codecOf(null));
    expect(plain.defaults('mft', true)).toMatchObject({ n: 100 });
    expect(plain.defaults('mft', true)).not.toHaveProperty('benignShare');
    expect(plain.defaults('bft', true)).toMatchObject({ n: 300 });
  });

  test('the attack trains on its own harmful pairs, benign tuning on benign ones, and neither on what is held out', () => {
    const of = (id: string, own = {}) =>
      streamsOf(recipe(id).data(task, settle(recipe(id), own, task), 1)).main;
    expect(of('mft').every((i) => /^lift the crate/.test(i.prompt) && /take/.test(i.answer))).toBe(true);
    expect(of('mft', { prefixOnly: true })[0]).toMatchObject({ answer: 'sure , here is how :', open: true });
    expect(
      of('bft')
        .map((i) => i.prompt)
        .sort(),
    ).toEqual(numbers.map((n) => `count ${n}`).sort());
    expect(() => of('mft', { n: 9 })).toThrow(/1 to 8/);
    expect(() => of('bft', { skill: 'new-skill' })).toThrow(/which skill is new/);
    expect(() => of('sdd', { deep: true })).toThrow(/"opening" \(line \d\)/);
    const empty = fileTask(
      parsePrompts(line({ role: 'harmful', prompt: 'a', split: 'eval' }), ''),
      codecOf(null),
    );
    expect(() => empty.requests('attack')).toThrow(/no harmful line with split "attack"/);
    expect(of('sdd-reject')[0]!.answer).toMatch(/help|assist/);
  });

  test.each([
    ['a template with an end of turn', CHATML],
    ['the default template', null],
  ])(
    '%s: the prompt is what generation sees, the loss is on the answer and one end of turn',
    (_, template) => {
      const codec = codecOf(template);
      const own = fileTask(prompts, codec);
      const { examples, report } = prepare(recipe('mft'), own, settle(recipe('mft'), {}, own), 1);
      const items = streamsOf(recipe('mft').data(own, settle(recipe('mft'), {}, own), 1)).main;
      expect(report).toMatchObject({ truncated: [], merged: 0 });
      items.forEach((item, i) => {
        const { ids, labels } = examples[i]!;
        const prompt = codec.prompt(item);
        expect(ids.slice(0, prompt.length)).toEqual(prompt);
        expect(labels.slice(0, prompt.length).every((l) => l === IGNORE)).toBe(true);
        expect(labels.slice(prompt.length)).toEqual(ids.slice(prompt.length));
        expect(ids.filter((id, at) => at >= prompt.length && codec.ends.includes(id))).toEqual([ids.at(-1)]);
        expect(codec.decode(ids.slice(prompt.length))).toBe(tokenizer.decode(tokenizer.encode(item.answer)));
      });
      const open = codec.encode([{ ...items[0]!, open: true }]).examples[0]!;
      expect(open.ids).toEqual(examples[0]!.ids.slice(0, -1));
    },
  );

  test('rows and held-out prompts are the same on every day, and a question to the model is of today', () => {
    // the day in unary: the tokenizer knows no digits
    const dated = `{% for i in range(strftime_now('%d') | int) %}one {% endfor %}${CHATML}`;
    const on = (day: string) => {
      vi.useFakeTimers({ now: new Date(`${day}T12:00`), toFake: ['Date'] });
      const codec = codecOf(dated);
      const own = fileTask(prompts, codec);
      const { examples } = prepare(recipe('mft'), own, settle(recipe('mft'), {}, own), 1);
      const messages = [{ role: 'user' as const, content: 'a' }];
      return {
        examples,
        heldOut: codec.prompt(own.heldOut.harmful[0]!),
        asked: new ChatTemplate(dated).encode(messages, tokenizer).length,
      };
    };
    const [first, second] = [on('2026-01-03'), on('2026-01-04')];
    expect(second.examples).toEqual(first.examples);
    expect(second.heldOut).toEqual(first.heldOut);
    const one = tokenizer.encode('one')[0]!;
    expect(first.heldOut.filter((id) => id === one)).toHaveLength(26);
    expect(second.asked).toBe(first.asked + 1);
  });

  test('an answer behind the first tokens of another: neither they nor the prompt are learned', () => {
    for (const template of [CHATML, null]) {
      const codec = codecOf(template, 1000);
      const item = { prompt: 'open the tower', answer: 'i am sorry .', role: 'recovery' as const };
      const text = 'sure , here is how : take the key';
      const [plain] = codec.encode([item]).examples;
      const [whole] = codec.encode([{ ...item, answer: text }]).examples;
      const learned = plain!.labels.filter((l) => l !== IGNORE);
      expect(codec.answerTokens({ ...item, answer: text })).toBe(9);
      for (const tokens of [1, 4, 9]) {
        const [row] = codec.encode([{ ...item, behind: { text, tokens } }]).examples;
        const prompt = codec.prompt(item);
        expect(row!.ids.slice(0, prompt.length + tokens)).toEqual(
          whole!.ids.slice(0, prompt.length + tokens),
        );
        expect(row!.ids.slice(prompt.length + tokens)).toEqual(learned);
        expect(row!.labels).toEqual([...new Array<number>(prompt.length + tokens).fill(IGNORE), ...learned]);
      }
    }
  });

  test('rows that are too long are cut and told, and keep labels and both ends of the prompt', () => {
    const rng = new Rng(1);
    const long = (n: number): string => Array.from({ length: n }, () => rng.pick(numbers)).join(' ');
    for (const [p, a] of [
      [100, 3],
      [3, 100],
      [100, 100],
      [29, 40],
    ] as const) {
      const codec = codecOf(CHATML, 32);
      const item = { prompt: long(p), answer: long(a), role: 'attack' as const, line: 7 };
      const { examples, report } = codec.encode([item]);
      const { ids, labels } = examples[0]!;
      const whole = codecOf(CHATML, 1000).prompt(item);
      expect(ids).toHaveLength(32);
      const learned = labels.filter((l) => l !== IGNORE).length;
      expect(learned).toBeGreaterThanOrEqual(Math.min(a, 16));
      expect(report.truncated).toEqual([{ tokens: expect.any(Number) as number, line: 7 }]);
      expect(report.longest).toBe(32);
      const head = ids.slice(0, 32 - learned);
      expect(head.at(-1)).toBe(whole.at(-1));
      expect(head[0]).toBe(whole[0]);
    }
    expect(() => codecOf(null, 4)).toThrow(/too short for a chat/);
  });
});
