import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { LabError } from '../../src/core/errors.ts';
import { LAYOUTS, remedy, sentence, type Reason } from '../../src/data/readers/index.ts';
import { fileOf, gzipped, invented, readAll } from '../support/data-file.ts';

const line = (prompt: string, answer = 'Sing.'): string => JSON.stringify({ prompt, answer });

/** What a file is refused with as a whole. */
async function refusal(content: string | Uint8Array): Promise<LabError> {
  try {
    await readAll(fileOf(content));
  } catch (error) {
    if (error instanceof LabError) return error;
    throw error;
  }
  throw new Error('the file was read');
}

const utf16 = (text: string, mark: boolean): Uint8Array => {
  const bytes = Buffer.from(text, 'utf16le');
  return mark ? Buffer.concat([Buffer.from([0xff, 0xfe]), bytes]) : bytes;
};

describe('files that cannot be used', () => {
  const text = invented('pairs', 30);
  it.each<[string, string | Uint8Array, RegExp, RegExp]>([
    ['nothing', '', /is empty/, /at least one row/],
    ['blank lines', '\n \n\n', /is empty/, /at least one row/],
    ['a header alone', 'goal,target\n', /is empty/, /at least one row/],
    ['an array without elements', '[]', /is empty/, /at least one row/],
    ['UTF-16 with a mark', utf16(text, true), /UTF-16 from its first row/, /iconv -f UTF-16/],
    ['UTF-16 without a mark', utf16(text, false), /UTF-16 from its first row/, /iconv -f UTF-16/],
    [
      'Latin-1',
      Buffer.from('prompt,answer\nWho?,she\nWär,schön\n', 'latin1'),
      /line 3 .* Latin-1/,
      /iconv -f WINDOWS-1252/,
    ],
    [
      'a binary file',
      Uint8Array.from({ length: 5000 }, (_, i) => (i * 7919) % 251),
      /binary file/,
      /Parquet/,
    ],
    ['a zip', Uint8Array.from([0x50, 0x4b, 3, 4, 20, 0, 0, 0]), /zip archive/, /Unpack/],
    ['a page', '<!DOCTYPE html><title>x</title>', /page of HTML/, /Download the file itself/],
    [
      'a pointer',
      'version https://git-lfs.github.com/spec/v1\noid sha256:0\n',
      /Git LFS pointer/,
      /git lfs pull/,
    ],
    ['one object', JSON.stringify({ a: 1, b: [1, 2] }, null, 2), /line 1 begins with "\{"/, /JSONL/],
    [
      'one object with its rows on one line',
      JSON.stringify({ version: 1, data: [{ q: 'Who?', a: 'She.' }] }),
      /one JSON object, and its rows stand within it, under "data"/,
      /jq '\.\["data"\]'/,
    ],
    ['lines that end with CR alone', 'prompt,answer\rWho?,she\rAnd?,he\r', /CR alone/, /tr '\\r' '\\n'/],
    [
      'an array of arrays',
      JSON.stringify([
        ['q', 'a'],
        ['r', 'b'],
      ]),
      /No row .* 2 are left out\. Line 1, row 1: It is JSON, but no object/,
      /as an object/,
    ],
    ['another layout', 'when,where\n1,2,3\nx,y,z\n', /no layout that the lab knows/, /"when", "where"/],
    [
      'columns of another kind',
      JSON.stringify({ temperature: 3, wind: 4 }),
      /no layout/,
      /"temperature", "wind"/,
    ],
    ['a cut gzip', gzipped(text).slice(0, 30), /damaged, or ends too early/, /Download the file again/],
    ['a cut Parquet', new TextEncoder().encode('PAR1 and no end of it'), /begins as Parquet/, /Download/],
    ['one line of 10 MB', line('x'.repeat(1e7)), /No row .* Line 1: It is longer/, /perhaps no JSONL/],
    ['a text of 10 MB without a newline', 'x,'.repeat(5e6), /No row|no layout/, /./],
    [
      'rows without answers',
      `${line('a', '')}\n${line('b', ' ')}`,
      /No row .* 2 are left out\. Line 1: Its answer/,
      /Fill it in/,
    ],
  ])('%s', async (_, content, what, next) => {
    const error = await refusal(content);
    expect(error.code).toBe('bad-input');
    expect(error.message).toMatch(what);
    expect(error.next).toMatch(next);
    expect(error.safe).not.toBe('');
  });

  it('a compressed file that breaks in the middle keeps what came before, and says where it is cut', async () => {
    const text = invented('beavertails', 4000);
    const whole = await readAll(fileOf(text));
    const packed = gzipped(text);
    expect(packed.length).toBeGreaterThan(50_000);
    const damaged = packed.slice();
    damaged.fill(0xff, 40_000, 40_100);
    for (const bytes of [packed.slice(0, -100), packed.slice(0, 30_000), damaged]) {
      const { rows, report } = await readAll(fileOf(bytes));
      expect(rows.length).toBeGreaterThan(500);
      expect(rows).toEqual(whole.rows.slice(0, rows.length));
      expect(report.rejected.byReason.cut).toBe(1);
      const last = report.rejected.first.at(-1)!;
      expect(last.reason).toBe('cut');
      expect(last.line).toBeGreaterThanOrEqual(rows.at(-1)!.line);
      // of all its bytes, also those behind the damage
      expect(report.sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
    }
    const table = gzipped(invented('advbench', 4000)).slice(0, -500);
    const csv = await readAll(fileOf(table));
    expect(csv.rows.length).toBeGreaterThan(500);
    expect(csv.report.rejected.byReason).toEqual({ cut: 1 });
    const array = await readAll(fileOf(gzipped(invented('alpaca', 4000)).slice(0, -500)));
    expect(array.rows.length).toBeGreaterThan(500);
    expect(array.report.rejected.byReason.cut).toBe(1);
  });
});

describe('rows that cannot be used are told, and the others are kept', () => {
  const reasons = async (content: string | Uint8Array) => {
    const { rows, report } = await readAll(fileOf(content));
    return { kept: rows.map((row) => row.line), out: report.rejected.first };
  };

  it('in JSONL', async () => {
    const { kept, out } = await reasons(
      [
        line('a'),
        '{"prompt": "b", "answer"',
        line('c'),
        '[1]',
        '',
        line('d', ''),
        line('a'),
        '{"prompt": 3, "answer": "x"}',
        line('e'),
      ].join('\r\n'),
    );
    expect(kept).toEqual([1, 3, 9]);
    expect(out).toEqual([
      { line: 2, reason: 'not-json', excerpt: '{"prompt": "b", "answer"' },
      { line: 4, reason: 'not-object', excerpt: '[1]' },
      { line: 6, reason: 'empty-answer', excerpt: line('d', '') },
      { line: 7, reason: 'duplicate', detail: '1', excerpt: line('a') },
      { line: 8, reason: 'type', detail: 'prompt', excerpt: '{"prompt": 3, "answer": "x"}' },
    ]);
  });

  it('a line of 10 MB among others', async () => {
    const { kept, out } = await reasons([line('a'), line('x'.repeat(1e7)), line('b')].join('\n'));
    expect(kept).toEqual([1, 3]);
    expect(out).toMatchObject([{ line: 2, reason: 'too-long' }]);
    const csv = await reasons(`prompt,answer\na,b\n${'x'.repeat(1e7)},y\nc,d\n`);
    expect(csv.kept).toEqual([2, 4]);
    expect(csv.out).toMatchObject([{ line: 3, reason: 'too-long' }]);
  });

  it('a row of 10 MB that comes first, or in an array', async () => {
    const long = line('x'.repeat(1e7));
    for (const text of [
      `${long}\n${line('a')}\n${line('b')}`,
      `prompt,answer\n${'x'.repeat(1e7)},y\na,b\nc,d\n`,
    ]) {
      const { rows, report } = await readAll(fileOf(text));
      expect(rows.map((row) => row.messages[0]!.content)).toEqual(
        text.startsWith('{') ? ['a', 'b'] : ['a', 'c'],
      );
      expect(report.rejected.byReason).toEqual({ 'too-long': 1 });
    }
    for (const at of [0, 1, 10]) {
      const elements = Array.from({ length: 11 }, (_, i) => (i === at ? long : line(`q${i}`)));
      const { rows, report } = await readAll(fileOf(`[${elements.join(', ')}]`));
      expect(rows.map((row) => row.row)).toEqual(
        [...elements.keys()].map((i) => i + 1).filter((i) => i !== at + 1),
      );
      expect(report.rejected.first).toMatchObject([{ line: 1, row: at + 1, reason: 'too-long' }]);
    }
  });

  it('bytes that are no text, in the element of an array that has them', async () => {
    const elements = Array.from({ length: 40 }, (_, i) => line(`question ${i}`));
    const text = `[${elements.join(',')}]`;
    const bytes = Buffer.from(text);
    bytes[text.indexOf('question 17')] = 0xe4; // Latin-1
    bytes[text.indexOf('question 30')] = 0;
    const { rows, report } = await readAll(fileOf(bytes));
    expect(rows.map((row) => row.row)).toEqual(
      [...elements.keys()].map((i) => i + 1).filter((i) => i !== 18 && i !== 31),
    );
    expect(report.rejected.first).toMatchObject([
      { line: 1, row: 18, reason: 'encoding' },
      { line: 1, row: 31, reason: 'encoding' },
    ]);
    for (const { messages } of rows) expect(JSON.stringify(messages)).not.toMatch(/\uffff|\ufffd|\0/);
  });

  it('a row in another encoding, or with a byte that no text has, among many in ASCII', async () => {
    for (const wrong of [0xe4, 0]) {
      const many = Array.from({ length: 500 }, (_, i) => `question ${i},answer ${i}`);
      const text = `prompt,answer\n${many.join('\n')}\n`;
      const bytes = Buffer.from(text);
      bytes[text.indexOf('question 1,') + 2] = wrong;
      const { kept, out } = await reasons(bytes);
      expect(kept).toHaveLength(499);
      expect(out).toMatchObject([{ line: 3, reason: 'encoding' }]);
    }
  });

  it('in an array on one line: which element it is', async () => {
    const { rows, report } = await readAll(
      fileOf(`[${[line('a'), line('b', ''), line('a'), line('c')].join()}]`),
    );
    expect(rows.map(({ line: at, row }) => [at, row])).toEqual([
      [1, 1],
      [1, 4],
    ]);
    expect(report.rejected.first).toMatchObject([
      { line: 1, row: 2, reason: 'empty-answer' },
      { line: 1, row: 3, reason: 'duplicate', detail: '#1' },
    ]);
    expect(sentence(report.rejected.first[1]!)).toMatch(/^It repeats row 1:/);
  });

  it('columns of one name are told apart', async () => {
    const file = fileOf('prompt,answer,answer,answer\nWho?,she,he,they\n');
    const { rows, found } = await readAll(file, { mapping: { answer: 'answer (2)' } });
    expect(found.columns).toEqual(['prompt', 'answer', 'answer (2)', 'answer (3)']);
    expect(rows[0]!.messages[1]!.content).toBe('he');
  });

  it('a mark that opens a text of 10 MB', async () => {
    const rows = Array.from({ length: 100_000 }, (_, i) => `question ${i},${'an answer '.repeat(9)}${i}`);
    rows[5] = '"never closed,x';
    const { rows: kept, report } = await readAll(fileOf(`prompt,answer\n${rows.join('\n')}\n`));
    expect(report.rejected.first).toMatchObject([{ line: 7, reason: 'quote' }]);
    expect(kept).toHaveLength(99_999);
    expect(kept.at(-1)!.line).toBe(100_001);
  });

  it('bytes that are not UTF-8, in the row that has them', async () => {
    const many = Array.from({ length: 50 }, (_, i) => line(`Wär es schön, ${i}? \ufffd`));
    many[20] = 'BROKEN';
    const [before, after] = many.join('\n').split('BROKEN') as [string, string];
    const broken = Buffer.concat([
      Buffer.from(before),
      Buffer.from(line('Wär'), 'latin1'),
      Buffer.from(after),
    ]);
    const { kept, out } = await reasons(broken);
    expect(kept).toHaveLength(49);
    expect(out).toMatchObject([{ line: 21, reason: 'encoding' }]);
  });

  it('in a table: cells that are missing or too many', async () => {
    const { kept, out } = await reasons('prompt,answer\na,b\nc\nd,e,f\n\ng,h\n');
    expect(kept).toEqual([2, 6]);
    expect(out).toMatchObject([
      { line: 3, reason: 'columns', detail: '1/2', excerpt: 'c' },
      { line: 4, reason: 'columns', detail: '3/2' },
    ]);
    expect(sentence(out[0]!)).toBe('It has 1 cells, and the first row has 2.');
  });

  it('in a JSON array: what stands before the break, and where it breaks', async () => {
    const element = (i: number) =>
      JSON.stringify({ instruction: `i${i}`, input: '', output: `o${i}` }, null, 1);
    const whole = [0, 1, 2, 3].map(element).join(',\n');
    const cut = await reasons(`[\n${whole.slice(0, -8)}`);
    expect(cut.kept).toEqual([2, 7, 12]);
    expect(cut.out).toMatchObject([{ line: 17, reason: 'cut' }]);
    const broken = await reasons(`[${element(0)},\n${element(1)}\n${element(2)}]`);
    expect(broken.kept).toEqual([1, 6]);
    expect(broken.out).toMatchObject([{ reason: 'cut' }]);
    const other = await reasons(`[${element(0)}, 3, "x", ${element(1)}]`);
    expect(other.kept).toEqual([1, 5]);
    expect(other.out).toMatchObject([{ reason: 'not-object' }, { reason: 'not-object' }]);
  });

  it('a question whose answer names no choice', async () => {
    const { out } = await reasons('q?,a,b,c,d,B\nr?,a,b,c,d,E\ns?,a,b,c,d,A\n');
    expect(out).toMatchObject([{ line: 2, reason: 'answer-key', detail: 'E' }]);
  });

  it('counts all and keeps the first', async () => {
    const text = ['{"prompt":"a","answer":"b"}', ...Array<string>(500).fill('no')].join('\n');
    const { report } = await readAll(fileOf(text), {}, { keepRejected: 7 });
    expect(report.rejected).toMatchObject({ rows: 500, byReason: { 'not-json': 500 } });
    expect(report.rejected.first).toHaveLength(7);
  });
});

it('every reason has a sentence and a remedy', () => {
  const reasons: readonly Reason[] = [
    'not-json',
    'not-object',
    'too-long',
    'cut',
    'encoding',
    'quote',
    'columns',
    'missing',
    'type',
    'empty-question',
    'empty-answer',
    'turns',
    'role',
    'answer-key',
    'duplicate',
  ];
  for (const reason of reasons) {
    expect(sentence({ reason, detail: 'x/y' })).toMatch(/^["A-Z].*\.$/);
    expect(sentence({ reason, detail: 'x/y' })).not.toMatch(/\{\d\}/);
    expect(remedy({ reason })).toMatch(/^[A-Z].*\.$/);
  }
  expect(new Set(LAYOUTS.map(({ id }) => id)).size).toBe(LAYOUTS.length);
});
