import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  fetchRecorded,
  parseRecorded,
  RECORDED,
  recordedAnswer,
  recordedLook,
} from '../../src/app/recorded.ts';
import { phaseOf, phaseStarts } from '../../src/core/phases.ts';
import { evalForbidden } from '../../src/data/evalsets.ts';
import { Tokenizer } from '../../src/data/tokenizer.ts';
import { judge } from '../../src/eval/judges/exact.ts';
import { createWorld } from '../../src/world/world.ts';

const read = (name: string): string => readFileSync(`public/recorded/${name}.json`, 'utf8');

describe.each(RECORDED)('the recorded attack %s', (name) => {
  const record = parseRecorded(read(name), name);

  it('holds what its page needs, from the untouched model to the last step', () => {
    expect(record.steps[0]!.step).toBe(0);
    expect(record.steps.at(-1)!.step).toBe(record.settings.steps);
    expect(record).toMatchObject({ model: 'tiny-chat', defence: 'sdd', attack: 'mft' });
    expect(record.date).toMatch(/^\d{4}-\d\d-\d\d$/);
    expect(record.commit).toMatch(/^[0-9a-f]{12}$/);
    expect(record.adapter).not.toBe('');
  });

  it('holds probabilities, and verdicts that the judge gives today', () => {
    const world = createWorld(record.seeds.world);
    const tidy = Tokenizer.tiny();
    const facts = new Map(evalForbidden(world, 'T').map((item) => [tidy.tidy(item.prompt), item.fact]));
    for (const { step } of record.steps)
      record.prompts.forEach(({ text, forbidden }, i) => {
        const answer = recordedAnswer(record, step, i)!;
        const { refusing, asked, other, rest } = answer.openings!;
        expect(refusing + asked + other + rest).toBeCloseTo(1, 3);
        for (const token of answer.tokens) {
          expect(token.p).toBeGreaterThan(0);
          // greedy: the likeliest token is the one that was said
          expect(token.top[0]!.p).toBeCloseTo(token.p, 3);
          expect(token.others).toHaveLength(2);
        }
        if (!forbidden) return expect(answer.verdict).toBeNull();
        const { kind } = judge(world, facts.get(text)!, answer.text, answer.ended);
        expect(answer.verdict?.kind).toBe(kind);
      });
  });

  it('goes from irrelevant answers through a leak to compliance', () => {
    const phases = record.steps.map((s) => ({ step: s.step, phase: phaseOf(recordedLook(record, s)) }));
    const named = phaseStarts(phases).map((p) => p.phase);
    expect(named[0]).toBe('irrelevant');
    expect(named.indexOf('leak')).toBeGreaterThan(0);
    expect(named.at(-1)).toBe('recovery');
  });
});

describe('a record that is not one', () => {
  const whole = JSON.parse(read('sdd-mft')) as { steps: { answers: unknown[] }[] };
  afterEach(() => vi.unstubAllGlobals());

  it.each([
    ['no JSON', '<html>', /not JSON/],
    ['of another version', '{"version":2}', /version 2/],
    ['without steps', JSON.stringify({ ...whole, steps: [] }), /no steps/],
    [
      'with answers missing',
      JSON.stringify({ ...whole, steps: [{ ...whole.steps[0], answers: [] }] }),
      /answers are missing/,
    ],
  ])('is refused in words: %s', (_what, text, why) => {
    expect(() => parseRecorded(text, 'x')).toThrow(why);
  });

  it('is said to be out of reach without a connection', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('offline')));
    await expect(fetchRecorded('sdd-mft', 'http://lab.test/')).rejects.toMatchObject({ code: 'network' });
  });
});
