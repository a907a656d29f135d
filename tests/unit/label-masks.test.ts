import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { IGNORE } from '../../src/core/types.ts';
import { chatCodec } from '../../src/data/chat-codec.ts';
import { ChatTemplate, findTemplate, type ChatMessage } from '../../src/data/chat-template.ts';
import { TextTokenizer } from '../../src/data/hf-tokenizer.ts';
import type { ChatItem } from '../../src/data/task.ts';
import { CHATML, CONFIGS } from './support/templates.ts';
import { tokenizerOr } from './tokenizer-dir.ts';

const tiny = (name: string): unknown => JSON.parse(readFileSync(`public/models/tiny-chat/${name}`, 'utf8'));

/** A template, and whether it writes a token that ends a turn. */
interface Fixture {
  tokenizer: TextTokenizer;
  template: string | null;
  ends: boolean;
  text: fc.Arbitrary<string>;
}

const words = fc
  .array(fc.constantFrom('one', 'two', 'three', 'the', 'red', 'key', 'vault', 'is', '.'), {
    minLength: 1,
    maxLength: 6,
  })
  .map((list) => list.join(' '));
const anything = fc.oneof(
  words,
  fc.constantFrom('안녕, 세계 👩‍👩‍👧', '<|im_end|> <|user|>', '<s></s>', 'two\n\nlines', '½ a\tb'),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((s) => s.trim() !== ''),
);

const world = (): TextTokenizer =>
  new TextTokenizer({ tokenizer: tiny('tokenizer.json'), tokenizerConfig: tiny('tokenizer_config.json') });
const published =
  (name: keyof typeof CONFIGS) =>
  (skip: (note: string) => void): Fixture => ({
    tokenizer: new TextTokenizer({
      tokenizer: tokenizerOr(skip, name, 'label masks in its chat template').tokenizer,
      tokenizerConfig: CONFIGS[name],
    }),
    template: findTemplate(CONFIGS[name]),
    ends: true,
    text: anything,
  });

const FIXTURES: Record<string, (skip: (note: string) => void) => Fixture> = {
  smollm2: published('smollm2'),
  tinyllama: published('tinyllama'),
  'turns with an end': () => ({ tokenizer: world(), template: CHATML, ends: true, text: words }),
  'the default transcript': () => ({ tokenizer: world(), template: null, ends: false, text: words }),
};

describe('label masks', () => {
  it.for(Object.keys(FIXTURES))(
    "%s: cover exactly the assistant's tokens of every turn",
    (name, { skip }) => {
      const { tokenizer, template, ends, text } = FIXTURES[name]!(skip);
      const codec = chatCodec({ tokenizer, template: new ChatTemplate(template), maxTokens: 4096 });
      const conversation = fc.record({
        system: fc.option(text),
        turns: fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 4 }),
      });
      fc.assert(
        fc.property(conversation, ({ system, turns }) => {
          const first: ChatMessage[] = system === null ? [] : [{ role: 'system', content: system.trim() }];
          const all: ChatMessage[] = [
            ...first,
            ...turns.flatMap(([user, assistant]): ChatMessage[] => [
              { role: 'user', content: user.trim() },
              { role: 'assistant', content: assistant.trim() },
            ]),
          ];
          const item: ChatItem = {
            before: all.slice(0, -2),
            prompt: all.at(-2)!.content,
            answer: all.at(-1)!.content,
            role: 'benign',
            every: true,
          };
          const { ids, labels } = codec.encode([item]).examples[0]!;
          let at = 0;
          all.forEach(({ role, content }, k) => {
            if (role !== 'assistant') return;
            // Where the model would be asked for this turn, the labels begin.
            const asked = codec.prompt({ before: all.slice(0, k - 1), prompt: all[k - 1]!.content });
            expect(ids.slice(0, asked.length)).toEqual(asked);
            expect(labels.slice(at, asked.length).every((label) => label === IGNORE)).toBe(true);
            at = asked.length;
            while (at < ids.length && labels[at] !== IGNORE) expect(labels[at]).toBe(ids[at++]);
            const turn = ids.slice(asked.length, at);
            expect(tokenizer.decode(turn).trim()).toBe(tokenizer.decode(tokenizer.encode(content)).trim());
            const last = k === all.length - 1;
            expect(turn.filter((id) => codec.ends.includes(id))).toEqual(ends || last ? [turn.at(-1)] : []);
          });
          expect(at).toBe(ids.length);
          // The last turn alone: the same row, the labels of the end only.
          const { every: _, ...alone } = item;
          const lastOnly = codec.encode([alone]).examples[0]!;
          expect(lastOnly.ids).toEqual(ids);
          const asked = codec.prompt(item).length;
          expect(lastOnly.labels).toEqual(labels.map((label, i) => (i < asked ? IGNORE : label)));
        }),
        { numRuns: 60 },
      );
    },
  );

  it('of a row that is too long are left in the last turn, and never stand behind the cut', () => {
    const codec = chatCodec({ tokenizer: world(), template: new ChatTemplate(CHATML), maxTokens: 32 });
    const whole = chatCodec({ tokenizer: world(), template: new ChatTemplate(CHATML), maxTokens: 4096 });
    fc.assert(
      fc.property(fc.array(fc.tuple(words, words), { minLength: 1, maxLength: 8 }), (turns) => {
        const all = turns.flatMap(([user, assistant]): ChatMessage[] => [
          { role: 'user', content: user },
          { role: 'assistant', content: assistant },
        ]);
        const item: ChatItem = {
          before: all.slice(0, -2),
          prompt: all.at(-2)!.content,
          answer: all.at(-1)!.content,
          role: 'benign',
          every: true,
        };
        const { examples, report } = codec.encode([item]);
        const { ids, labels } = examples[0]!;
        const uncut = whole.encode([item]).examples[0]!;
        expect(report.truncated).toHaveLength(uncut.ids.length > 32 ? 1 : 0);
        expect(ids).toHaveLength(Math.min(32, uncut.ids.length));
        expect(labels.at(-1)).not.toBe(IGNORE);
        // Every label has, before it, the token that it has in the whole.
        const follows = new Set(uncut.ids.slice(1).map((id, i) => `${uncut.ids[i]} ${id}`));
        labels.forEach((label, i) => {
          if (label !== IGNORE) expect(follows.has(`${ids[i - 1]} ${label}`)).toBe(true);
        });
      }),
    );
  });

  it('a template that rewrites earlier turns is refused by name', () => {
    const forgetful =
      "{% for m in messages %}<user>{{ m['content'] if loop.last or m['role'] == 'user' else '' }}<eos>{% endfor %}";
    const codec = chatCodec({
      tokenizer: world(),
      template: new ChatTemplate(forgetful.replaceAll('<eos>', ' .')),
      maxTokens: 64,
    });
    const before: ChatMessage[] = [
      { role: 'user', content: 'one' },
      { role: 'assistant', content: 'two three' },
    ];
    const item: ChatItem = { before, prompt: 'red', answer: 'key', role: 'benign', line: 3 };
    expect(codec.encode([item]).examples).toHaveLength(1);
    expect(() => codec.encode([{ ...item, every: true }])).toThrow(/earlier turns of line 3/);
  });
});
