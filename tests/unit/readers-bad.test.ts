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
    ['another layout', 'when,where\n1,2,3\nx,y,z\n', /no layout that the lab knows/, /"when", "where"/],
    [
      'columns of another kind',
      JSON.stringify({ temperature: 3, wind: 4 }),
      /no layout/,
      /"temperature", "wind"/,
    ],
    ['a cut gzip', gzipped(text).slice(0, 400), /damaged, or ends too early/, /Download the file again/],
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

  it('a compressed file that breaks in the middle is refused, not half read', async () => {
    const packed = gzipped(invented('beavertails', 4000));
    expect(packed.length).toBeGreaterThan(50_000);
    await expect(readAll(fileOf(packed.slice(0, -100)))).rejects.toThrow(/ends too early/);
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
