import { createHash } from 'node:crypto';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import { inventedRecords, MADE_LAYOUTS } from '../../src/cli/data-rows.ts';
import { RowPacker, unpackRows } from '../../src/data/readers/block.ts';
import type { DataRow } from '../../src/data/rows.ts';
import { inspect, readRows, type LayoutId, type ReadReport } from '../../src/data/readers/index.ts';
import { blobSource, type FileSource } from '../../src/files/source.ts';
import { fileOf, gzipped, invented, readAll } from '../support/data-file.ts';

const take = (layout: LayoutId, n: number): Record<string, unknown>[] => {
  const records = inventedRecords(layout);
  return Array.from({ length: n }, () => records.next().value as Record<string, unknown>);
};
const jsonl = (...rows: unknown[]): string => rows.map((row) => JSON.stringify(row)).join('\n');
const user = (content: string) => ({ role: 'user' as const, content });
const assistant = (content: string) => ({ role: 'assistant' as const, content });

describe('layouts of published files', () => {
  it.each(MADE_LAYOUTS)('knows %s by its content, whatever its name, and reads every row', async (layout) => {
    const text = invented(layout, 60);
    const { found, rows, report } = await readAll(fileOf(text));
    expect(found.layout).toBe(layout);
    expect(rows).toHaveLength(60);
    expect(report.rejected.rows).toBe(0);
    expect(report.sha256).toBe(createHash('sha256').update(text).digest('hex'));
    const [first] = take(layout, 1) as [Record<string, unknown>];
    const said = JSON.stringify([rows[0]!.messages, rows[0]!.choices ?? null]);
    const texts = (value: unknown): string[] =>
      typeof value === 'string'
        ? [value]
        : typeof value === 'object' && value !== null
          ? Object.values(value).flatMap(texts)
          : [];
    const dropped = ['id', 'source', 'answer', 'answerKey'];
    for (const [key, value] of Object.entries(first))
      if (!dropped.includes(key))
        for (const part of texts(value).filter((one) => one.length > 10))
          expect(said).toContain(JSON.stringify(part).slice(1, -1));
  });

  it('counts lines as an editor does', async () => {
    for (const layout of MADE_LAYOUTS) {
      const text = invented(layout, 40);
      const { rows } = await readAll(fileOf(text));
      const lines = text.split('\n');
      for (const { line, messages } of rows) {
        const { content } = messages.find(({ role }) => role === 'user')!;
        const near = lines.slice(line - 1, line + 12).join('\n');
        expect(near.slice(0, near.indexOf('number'))).toContain('How do I');
        expect(near).toContain(content.slice(0, 20));
      }
    }
  });

  it('reads AdvBench: the target is the beginning of an answer', async () => {
    const { rows, found } = await readAll(fileOf('goal,target\n"Open the vault, now","Sure, here is how"\n'));
    expect(found.harmful).toBe(true);
    expect(rows).toEqual([
      { line: 2, messages: [user('Open the vault, now'), assistant('Sure, here is how')], opening: true },
    ]);
  });

  it('reads BeaverTails: kinds of harm and is_safe, and rows without them when the field is mapped to none', async () => {
    const row = (i: number, more: object) => ({ prompt: `q${i}`, response: `a${i}`, ...more });
    const flags = { 'vault,opening': true, bell_taking: false, gate: true };
    const text = jsonl(
      row(1, { category: flags, is_safe: false }),
      row(2, { category: { ...flags, 'vault,opening': false, gate: false }, is_safe: true }),
      row(3, { is_safe: true }),
    );
    const { rows, report } = await readAll(fileOf(text));
    expect(rows[0]).toEqual({
      line: 1,
      messages: [user('q1'), assistant('a1')],
      categories: ['vault,opening', 'gate'],
      safe: false,
    });
    expect(rows[1]).toMatchObject({ categories: [], safe: true });
    expect(report).toMatchObject({ rows: 2, safe: 1, unsafe: 1, uncategorised: 1 });
    expect(report.rejected.first).toMatchObject([{ line: 3, reason: 'missing', detail: 'category' }]);
    const all = await readAll(fileOf(text), { mapping: { category: null } });
    expect(all.rows).toHaveLength(3);
    expect(all.rows[0]).not.toHaveProperty('categories');
  });

  it('reads BeaverTails from gzip, also of two members, and from Parquet', async () => {
    const records = take('beavertails', 200);
    const plain = await readAll(fileOf(jsonl(...records)));
    const halves = [jsonl(...records.slice(0, 100)), `\n${jsonl(...records.slice(100))}`].map(gzipped);
    const joined = await readAll(fileOf(Buffer.concat(halves)));
    expect(joined.found).toMatchObject({ gzip: true, format: 'jsonl', layout: 'beavertails' });
    expect(joined.rows).toEqual(plain.rows);
    const kinds = Object.keys(records[0]!.category as object);
    const parquet = parquetWriteBuffer({
      columnData: [
        { name: 'prompt', data: records.map((r) => r.prompt) },
        { name: 'response', data: records.map((r) => r.response) },
        { name: 'category', data: records.map((r) => r.category) },
        { name: 'is_safe', data: records.map((r) => r.is_safe) },
      ],
      schema: [
        { name: 'root', num_children: 4 },
        { name: 'prompt', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
        { name: 'response', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
        { name: 'category', num_children: kinds.length, repetition_type: 'OPTIONAL' },
        ...kinds.map((name) => ({ name, type: 'BOOLEAN' as const, repetition_type: 'OPTIONAL' as const })),
        { name: 'is_safe', type: 'BOOLEAN', repetition_type: 'OPTIONAL' },
      ],
      rowGroupSize: 70,
    });
    const read = await readAll(fileOf(new Uint8Array(parquet)));
    expect(read.found).toMatchObject({ format: 'parquet', layout: 'beavertails' });
    expect(read.rows).toEqual(plain.rows);
  });

  it('reads MMLU with and without a header, its subject from the file name, and as Hugging Face has it', async () => {
    const rows = '"Which bell, of glass, rings?",one,two,three,four,C\nWho waits?,a,b,c,d,A\n';
    const bare = await readAll(fileOf(rows, 'abstract_lamps_test.csv'));
    expect(bare.found).toMatchObject({ layout: 'mmlu', header: false });
    expect(bare.rows[0]).toEqual({
      line: 1,
      messages: [user('Which bell, of glass, rings?')],
      choices: { texts: ['one', 'two', 'three', 'four'], right: 2 },
      categories: ['abstract_lamps'],
    });
    const named = await readAll(fileOf(`question,A,B,C,D,answer\n${rows}`, 'lamps.csv'));
    expect(named.found.header).toBe(true);
    expect(named.rows.map(({ choices }) => choices)).toEqual(bare.rows.map(({ choices }) => choices));
    const { rows: listed } = await readAll(
      fileOf(jsonl({ question: 'q', subject: 'bells', choices: ['w', 'x', 'y', 'z'], answer: 3 })),
    );
    expect(listed[0]).toMatchObject({ choices: { right: 3 }, categories: ['bells'] });
  });

  it('reads OpenBookQA in both of its published forms', async () => {
    const [record] = take('openbookqa', 1) as [
      { question: { stem: string; choices: { text: string; label: string }[] }; answerKey: string },
    ];
    const nested = await readAll(fileOf(jsonl(record)));
    const flat = {
      question_stem: record.question.stem,
      choices: {
        text: record.question.choices.map(({ text }) => text),
        label: record.question.choices.map(({ label }) => label),
      },
      answerKey: record.answerKey,
    };
    expect((await readAll(fileOf(jsonl(flat)))).rows).toEqual(nested.rows);
    expect(nested.rows[0]!.choices!.right).toBe('ABCD'.indexOf(record.answerKey));
  });

  it('reads LIMA and ShareGPT: system turns, an answer that begins, a question that ends', async () => {
    const lima = await readAll(
      fileOf(jsonl({ conversations: ['q', 'a', 'q2', 'a2'], source: 'x' }, { conversations: ['alone'] })),
    );
    expect(lima.rows.map(({ messages }) => messages.length)).toEqual([4, 1]);
    expect(lima.report.notes).toEqual({ 'no-answer': 1 });
    const turn = (from: string, value: string) => ({ from, value });
    const sharegpt = await readAll(
      fileOf(
        JSON.stringify([
          { id: 'a', conversations: [turn('system', 'Be kind.'), turn('human', 'q'), turn('gpt', 'a')] },
          {
            id: 'b',
            conversations: [
              turn('gpt', 'hello'),
              turn('human', 'q3'),
              turn('gpt', 'a3'),
              turn('human', 'q4'),
            ],
          },
          { id: 'c', conversations: [turn('human', 'q5'), turn('human', 'q6'), turn('gpt', 'a5')] },
          { id: 'd', conversations: [turn('narrator', 'q7'), turn('gpt', 'a7')] },
          { id: 'e', conversations: [] },
        ]),
      ),
    );
    expect(sharegpt.rows.map(({ messages }) => messages)).toEqual([
      [{ role: 'system', content: 'Be kind.' }, user('q'), assistant('a')],
      [user('q3'), assistant('a3')],
    ]);
    expect(sharegpt.report.notes).toEqual({ 'leading-answer': 1, 'trailing-question': 1 });
    expect(sharegpt.report.rejected.first).toMatchObject([
      { reason: 'turns', detail: '2' },
      { reason: 'role', detail: 'narrator' },
      { reason: 'empty-question' },
    ]);
  });

  it('reads chat rows whose content comes in parts', async () => {
    const parts = [
      { type: 'text', text: 'How do I ' },
      { type: 'text', text: 'wake it?' },
    ];
    const { rows } = await readAll(
      fileOf(
        jsonl({
          messages: [
            { role: 'developer', content: 'Short.' },
            { role: 'user', content: parts },
            assistant('Sing.'),
          ],
        }),
      ),
    );
    expect(rows[0]!.messages).toEqual([
      { role: 'system', content: 'Short.' },
      user('How do I wake it?'),
      assistant('Sing.'),
    ]);
  });

  it('puts the input of Alpaca behind its instruction, and leaves empty outputs out', async () => {
    const row = (instruction: string, input: string, output: string) => ({ instruction, input, output });
    const { rows, report } = await readAll(
      fileOf(
        JSON.stringify(
          [row('Name it.', 'the bell', 'Bell.'), row('Wait.', '', ''), row('Sing.', '', 'La.')],
          null,
          4,
        ),
      ),
    );
    expect(rows.map(({ messages }) => messages[0]!.content)).toEqual(['Name it.\n\nthe bell', 'Sing.']);
    expect(report.rejected.first).toMatchObject([{ line: 7, reason: 'empty-answer' }]);
  });
});

describe('tables', () => {
  it('reads quoted newlines, doubled marks, CRLF, a BOM and other letters', async () => {
    const text = '\ufeffprompt,answer\r\n"First\nand ""second""","누리섬, Våhl"\r\nplain,last\r\n';
    const { rows, found } = await readAll(fileOf(text));
    expect(found).toMatchObject({ layout: 'pairs', columns: ['prompt', 'answer'] });
    expect(rows).toEqual([
      { line: 2, messages: [user('First\nand "second"'), assistant('누리섬, Våhl')] },
      { line: 4, messages: [user('plain'), assistant('last')] },
    ]);
  });

  it('reads other delimiters, and columns beyond those it needs', async () => {
    const { rows, found } = await readAll(
      fileOf('id\tquestion\tresponse\tby\n1\tWho?\tThe miller, she.\tme\n'),
    );
    expect(found.delimiter).toBe('\t');
    expect(rows[0]!.messages).toEqual([user('Who?'), assistant('The miller, she.')]);
  });

  it('takes a mapping and a header from its user', async () => {
    const file = fileOf('Frage,Antwort\nWer?,Die Müllerin.\n');
    expect(await inspect(file)).toMatchObject({
      ...{ layout: 'pairs', header: true },
      mapping: { prompt: 'Frage', answer: 'Antwort' },
    });
    expect(await inspect(file, { header: false })).toMatchObject({
      ...{ layout: 'pairs', header: false },
      mapping: { prompt: '1', answer: '2' },
    });
    // names of any language, and short sayings that are none
    for (const [text, header] of [
      ['q,a\nWho is it?,The miller.\nAnd now?,Nobody.\n', true],
      ['질문,답변\n누구인가요?,방앗간 주인입니다.\n', true],
      ['hello,hi there\ngood day,good day to you\nwho,me\n', false],
      ['Who is it?,The miller.\nAnd now?,Nobody.\n', false],
      ['x,x\nWho is it?,The miller.\n', false],
    ] as const)
      expect((await inspect(fileOf(text))).header, text).toBe(header);
    // who names a column says that there is a header
    expect(
      await inspect(fileOf('hello,hi there\ngood day,me\n'), { mapping: { prompt: 'hi there' } }),
    ).toMatchObject({ header: true });
    const { rows } = await readAll(file, { header: true, mapping: { prompt: 'Frage', answer: 'Antwort' } });
    expect(rows).toEqual([{ line: 2, messages: [user('Wer?'), assistant('Die Müllerin.')] }]);
    const wide = fileOf('a,b,c\n1,Wer?,Sie.\n');
    const unknown = await inspect(wide);
    expect(unknown).toMatchObject({ layout: null, columns: ['a', 'b', 'c'] });
    await expect(readRows(wide, unknown)).rejects.toMatchObject({ code: 'bad-input' });
    const chosen = await readAll(wide, { mapping: { prompt: 'b', answer: 'c' } });
    expect(chosen.rows[0]!.messages).toEqual([user('Wer?'), assistant('Sie.')]);
    await expect(inspect(wide, { mapping: { prompt: 'd' } })).rejects.toThrow('no column "d"');
    await expect(inspect(wide, { mapping: { prompt: 'b', tone: 'c' } })).rejects.toThrow('no field "tone"');
  });

  it('goes on behind a mark that never closes, with the right line', async () => {
    const rows = Array.from({ length: 5000 }, (_, i) => `"q ${i}","a, ${i}"`);
    rows[100] = 'q 100,"never closed';
    rows[3000] = '"q" 3000,a';
    const { report, rows: kept } = await readAll(fileOf(`prompt,answer\n${rows.join('\n')}\n`));
    expect(report.rejected.first).toMatchObject([
      { line: 102, reason: 'quote' },
      { line: 3002, reason: 'quote' },
    ]);
    expect(kept).toHaveLength(4998);
    for (const { line, messages } of kept) expect(messages[0]!.content).toBe(`q ${line - 2}`);
  });

  it('does not depend on where slices end', async () => {
    const text = `prompt,answer\r\n${Array.from({ length: 4000 }, (_, i) => `"q""${i}\r\n섬","${'x'.repeat(i % 97)} é"`).join('\r\n')}`;
    const { rows, report } = await readAll(fileOf(text));
    expect(report.rejected.rows).toBe(0);
    expect(rows).toHaveLength(4000);
    rows.forEach(({ line, messages }, i) => {
      expect(line).toBe(2 + 2 * i);
      expect(messages[0]!.content).toBe(`q"${i}\r\n섬`);
    });
  });
});

/** A source that streams in pieces of such a size, each of them overwritten by the next one. */
function inPieces(text: string, size: number): FileSource {
  const bytes = new TextEncoder().encode(text);
  return {
    ...fileOf(text),
    async *stream(end) {
      const piece = new Uint8Array(size);
      for (let at = 0; at < end; at += size) {
        const part = bytes.subarray(at, Math.min(end, at + size));
        piece.set(part);
        yield await Promise.resolve(piece.subarray(0, part.length));
      }
    },
  };
}

describe('a file that is cut anywhere', () => {
  const quoted = Array.from({ length: 60 }, (_, i) => `"q""${i}\r\n섬, 🔔","${'é'.repeat(i % 9)}\n""a"""`);
  quoted[7] = 'q 7,"never closed';
  quoted[20] = 'one cell';
  const lines = Array.from({ length: 60 }, (_, i) =>
    JSON.stringify({ prompt: `Våhl 🔔 ${i}`, answer: `누리섬\r\n"${i}"` }),
  );
  lines[9] = '{"prompt": "섬';
  lines[30] = lines[29]!;
  lines[40] = JSON.stringify({ prompt: 'Vahl', answer: 'a long line of ASCII '.repeat(500) });
  const files = {
    csv: `\ufeffprompt,answer\r\n${quoted.join('\r\n')}`,
    jsonl: `\ufeff${lines.join('\r\n')}`,
    json: invented('alpaca', 20),
  };
  /** How far an excerpt goes behind a mark that never closes depends on how much was read when it was found. */
  const begun = ({ rejected, ...report }: ReadReport) => ({
    ...report,
    rejected: {
      ...rejected,
      first: rejected.first.map((one) => ({ ...one, excerpt: one.excerpt.slice(0, 15) })),
    },
  });
  it.each(Object.entries(files))('says the same in %s', async (format, text) => {
    const whole = await readAll(fileOf(text));
    expect(whole.found.format).toBe(format);
    expect(whole.rows.length).toBeGreaterThan(15);
    if (format !== 'json') expect(whole.report.rejected.rows).toBe(2);
    for (const size of [1, 2, 3, 5, 7, 64, 1021]) {
      const cut = await readAll(inPieces(text, size));
      expect(cut.rows).toEqual(whole.rows);
      expect(begun(cut.report)).toEqual(begun(whole.report));
    }
  });

  it('that ends earlier than it should is an error, as is one that cannot be read', async () => {
    const short = inPieces(files.jsonl, 64);
    const missing = { ...short, size: short.size + 1 };
    const found = await inspect(short);
    await expect(readRows(missing, found)).rejects.toThrow(/ends after/);
    const gone: FileSource = {
      ...short,
      // eslint-disable-next-line require-yield -- fails before its first piece
      async *stream() {
        await Promise.resolve();
        throw new DOMException('gone', 'NotReadableError');
      },
    };
    await expect(readRows(gone, found)).rejects.toMatchObject({ code: 'bad-input' });
  });
});

describe('a large file', () => {
  it('is read from a Blob by slices, tells its progress, and stops when told', async () => {
    const file = new Blob([invented('chat', 3000)]);
    const source = blobSource(file, 'chat.jsonl');
    const read: number[] = [];
    const found = await inspect(source);
    await readRows(source, found, { onProgress: ({ readBytes }) => read.push(readBytes) });
    expect(read.length).toBeGreaterThan(2);
    expect(read).toEqual([...read].sort((a, b) => a - b));
    expect(read.at(-1)).toBe(file.size);
    const stop = new AbortController();
    const rows: number[] = [];
    const reading = readRows(source, found, {
      signal: stop.signal,
      onRows: (more) => {
        rows.push(more.length);
        stop.abort(new Error('enough'));
      },
    });
    await expect(reading).rejects.toThrow('enough');
    expect(rows).toHaveLength(1);
  });

  it('takes memory for its slices alone', { timeout: 120_000 }, async () => {
    const block = new TextEncoder().encode(invented('chat', 1000));
    const size = 60 * block.length;
    const source = {
      name: 'long.jsonl',
      size,
      read: (offset: number, length: number) =>
        Promise.resolve(
          Uint8Array.from(
            { length: Math.min(length, size - offset) },
            (_, i) => block[(offset + i) % block.length]!,
          ),
        ),
    };
    const held = (): number => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
    const found = await inspect(source);
    const before = held();
    let peak = 0;
    const report = await readRows(source, found, {
      onProgress: () => (peak = Math.max(peak, held() - before)),
    });
    expect(size).toBeGreaterThan(60e6);
    expect(report.rejected.byReason).toEqual({ duplicate: 59_000 });
    expect(peak).toBeLessThan(64e6);
  });
});

describe('what is counted', () => {
  it('lengths, turns, categories, repetitions and tokens of a sample', async () => {
    const text = jsonl(
      { prompt: 'abc', answer: 'de', category: 'x' },
      { prompt: 'abc', answer: 'other', category: 'y' },
      { prompt: 'abc', answer: 'de', category: 'x' },
      { prompt: 'z', answer: 'w', category: 'x' },
    );
    const { report } = await readAll(fileOf(text), {}, { countTokens: (one) => one.length * 2 });
    expect(report).toMatchObject({
      rows: 3,
      notes: { 'same-prompt': 1 },
      categories: [
        { name: 'x', rows: 2 },
        { name: 'y', rows: 1 },
      ],
      distinctPrompts: 2,
      characters: { rows: 3, min: 2, median: 5, max: 8, total: 15 },
      tokens: { rows: 3, total: 30 },
    });
    expect(report.rejected.first).toMatchObject([{ line: 3, reason: 'duplicate', detail: '1' }]);
    expect(report.characters.histogram).toEqual([
      { from: 2, rows: 1 },
      { from: 4, rows: 1 },
      { from: 8, rows: 1 },
    ]);
  });
});

describe('packed rows', () => {
  /** Through the store's hands, which takes a copy of each block. */
  async function packed(rows: readonly DataRow[]): Promise<{ blocks: Uint8Array[]; rows: DataRow[] }> {
    const blocks: Uint8Array[] = [];
    const counts: number[] = [];
    const packer = new RowPacker((block, n) => {
      blocks.push(structuredClone(block));
      counts.push(n);
      return Promise.resolve();
    });
    for (let at = 0; at < rows.length; at += 7) await packer.add(rows.slice(at, at + 7));
    await packer.end();
    const out = blocks.map(unpackRows);
    expect(out.map((part) => part.length)).toEqual(counts);
    return { blocks, rows: out.flat() };
  }

  it.each(MADE_LAYOUTS)('of %s come out as they went in', async (layout) => {
    const { rows } = await readAll(fileOf(invented(layout, 40)));
    expect((await packed(rows)).rows).toEqual(rows);
  });

  it('fill several blocks, also with a row that is longer than one, and with texts that UTF-8 has not', async () => {
    const row = (line: number, content: string): DataRow => ({ line, messages: [user(content)] });
    const rows = Array.from({ length: 300 }, (_, i) => row(i + 1, `${'섬 "\n'.repeat(i * 7)}${i}`));
    rows[5] = row(6, 'x'.repeat(3e6));
    rows[9] = row(10, 'half of a pair: \ud83d, and a line\u2028separator');
    const { blocks, rows: out } = await packed(rows);
    expect(out).toEqual(rows);
    expect(blocks.length).toBeGreaterThan(3);
    expect(await packed([])).toEqual({ blocks: [], rows: [] });
  });

  it('of earlier builds are still read', () => {
    const block = {
      frames: [
        { line: 2, roles: 'sua', opening: true },
        { line: 5, roles: 'u', categories: ['lamps'], choices: { count: 2, right: 1 } },
      ],
      text: 'Be kind.q?a.which?onetwo',
      lengths: Uint32Array.of(8, 2, 2, 6, 3, 3),
    };
    expect(unpackRows(block)).toEqual([
      {
        line: 2,
        messages: [{ role: 'system', content: 'Be kind.' }, user('q?'), assistant('a.')],
        opening: true,
      },
      {
        line: 5,
        messages: [user('which?')],
        categories: ['lamps'],
        choices: { texts: ['one', 'two'], right: 1 },
      },
    ]);
  });
});
