import { describe, expect, test } from 'vitest';
import type { Example } from '../../src/core/types.ts';
import type { ChatCodec, ChatItem } from '../../src/data/task.ts';
import { encodeStreams, openStreams, rowsOf, type Streams } from '../../src/recipes/streams.ts';
import { shuffled } from '../../src/recipes/recipe.ts';

const item = (prompt: string, answer: string, line?: number): ChatItem => ({
  prompt,
  answer,
  role: 'pair',
  ...(line !== undefined && { line }),
});

/** One token for each letter of prompt and answer; rows of more than eight are cut. */
const codec: Pick<ChatCodec, 'encode'> = {
  encode: (items) => {
    const rows = items.map(({ prompt, answer }) => [...`${prompt}${answer}`].map((c) => c.charCodeAt(0)));
    const long = rows.map((r) => r.length).filter((n) => n > 8);
    const examples = rows.map((ids) => ({ ids: ids.slice(0, 8), labels: ids.slice(0, 8) }));
    return {
      examples,
      report: {
        longest: Math.max(0, ...examples.map((e) => e.ids.length)),
        truncated: long.map((tokens) => ({ tokens })),
        merged: 0,
      },
    };
  },
};

const row = (id: number): Example => ({ ids: [id], labels: [id] });
const ids = (rows: readonly Example[]): number[] => rows.map((r) => r.ids[0]!);
const numbered = (from: number, n: number): Example[] => Array.from({ length: n }, (_, i) => row(from + i));

describe('streams of a recipe', () => {
  test('with one stream, batches and stored state are those of before there were several', () => {
    const rows = numbered(0, 7);
    const old = shuffled(rows, 3, 'x/1')(null);
    const open = openStreams({ main: rows }, { batch: 3 }, 'x/1');
    const one = open(null);
    for (let i = 0; i < 5; i++) expect(one.next()).toEqual(old.next());
    expect(one.state()).toEqual(old.state());
    const resumed = open(old.state());
    for (let i = 0; i < 5; i++) expect(resumed.next()).toEqual(old.next());
  });

  test('each has its own cursor, batch size and order, and goes on from a stored state', () => {
    const streams: Streams<Example> = { main: numbered(0, 5), harmful: numbered(100, 8) };
    const plan = { batch: 2, streams: { harmful: { batch: 3 } } };
    const open = openStreams(streams, plan, 'x/1');
    const source = open(null);
    expect(ids(source.next('harmful'))).toHaveLength(3);
    source.next();
    const alone = openStreams({ main: streams.main }, plan, 'x/1')(null);
    alone.next();
    expect(source.next('main')).toEqual(alone.next());
    const stored = structuredClone(source.state());
    const wanted = [source.next('harmful'), source.next(), source.next('harmful')];
    const resumed = open(stored);
    expect([resumed.next('harmful'), resumed.next(), resumed.next('harmful')]).toEqual(wanted);
    expect(wanted.flatMap(ids).every((id) => id < 5 || id >= 100)).toBe(true);
    expect(() => open({ streams: { main: alone.state() } })).toThrow(/"harmful" stood/);
  });

  test('that go together give the same rows at the same time, whatever the order', () => {
    // by length the leader alone decides
    const long = (n: number): Example => ({ ids: Array<number>(n).fill(n), labels: [] });
    const streams = { main: [5, 1, 4, 2, 3, 6].map(long), rejected: numbered(0, 6) };
    for (const order of ['random', 'length'] as const) {
      const plan = { batch: 2, order, streams: { rejected: { with: 'main', batch: 9 } } };
      const source = openStreams(streams, plan, 'x/1')(null);
      for (let i = 0; i < 7; i++) {
        const main = source.next();
        expect(source.next('rejected').map((r) => streams.rejected.indexOf(r))).toEqual(
          main.map((r) => streams.main.indexOf(r)),
        );
      }
    }
  });

  test('a pair that does not fit is left out as a whole, and reported', () => {
    const items = {
      main: [item('a', 'yes', 1), item('b', 'this is too long', 2), item('c', 'no', 3), item('d', 'ok', 4)],
      rejected: [item('a', 'sure', 1), item('b', 'no', 2), item('c', 'far too long', 3), item('d', 'so', 4)],
      harmful: [item('e', 'much too long')],
    };
    const { streams, report } = encodeStreams(codec, items, { rejected: { with: 'main' } });
    expect(streams.main).toHaveLength(2);
    expect(streams.rejected).toHaveLength(2);
    expect(ids(streams.main!)).toEqual(ids(streams.rejected!));
    expect(report.dropped).toEqual([{ line: 2 }, { line: 3 }]);
    expect(report.truncated).toEqual([{ tokens: 14 }]);
    expect(report.longest).toBe(8);
    const none = { main: items.main.slice(1, 2), rejected: items.rejected.slice(1, 2) };
    expect(() => encodeStreams(codec, none, { rejected: { with: 'main' } })).toThrow(
      /None of the 1 pairs fits/,
    );
  });

  test('rows of a batch are the run’s, the stream’s own, or those of the stream it goes with', () => {
    const plans = { a: { batch: 3 }, b: { with: 'a' }, c: {} };
    expect(['main', 'a', 'b', 'c', 'd'].map((name) => rowsOf(name, 16, plans))).toEqual([16, 3, 3, 16, 16]);
  });
});
