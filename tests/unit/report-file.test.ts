/** The report as it leaves the lab: one HTML file that needs nothing, and JSON that says the same and opens again. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { differences } from '../../src/cli/summary/differences.ts';
import { cellLines } from '../../src/cli/summary/answers.ts';
import { experimentReport, type Facts } from '../../src/cli/summary/document.ts';
import { budgets } from '../../src/cli/summary/budget.ts';
import { rows } from '../../src/cli/summary/figures.ts';
import type { Planned } from '../../src/cli/experiment/run.ts';
import { gridAttacks } from '../../src/cli/experiment/stations.ts';
import { EXACT_JUDGE } from '../../src/core/verdicts.ts';
import { GRID } from '../../src/cli/experiment/matrix.ts';
import { errorInfo } from '../../src/app/client.ts';
import { readReport, valueText, type Report } from '../../src/report/document.ts';
import { reportHtml } from '../../src/report/html.ts';
import { picture } from '../../src/report/pictures.ts';
import { parseProtocol } from '../../src/report/protocol.ts';
import { battery, cell, world } from './support/cells.ts';
import { htmlFaults, numbersDiffer } from './support/report-html.ts';

const ABOUT: Facts = {
  kind: 'matrix',
  createdAt: new Date('2026-11-25T10:00:00Z'),
  facts: [{ name: 'World', value: '0' }],
  protocol: { name: 'docs/prereg.md', sha256: 'a'.repeat(64), deviations: ['One of its own.'] },
  deviations: ['Another.'],
  caveats: ['Illustration.'],
  command: 'npm run experiment -- --preset quick --seeds 3',
  parts: [
    {
      worldSeed: 0,
      command: 'npm run experiment -- --preset quick --seeds 3',
      seeds: [1, 2].map((seed) => ({ defence: seed, attack: 100 + seed })),
    },
  ],
  failures: [{ what: 'chat x bft', why: 'the device was lost' }],
};

const planned: Planned[] = ['chat', 'chat+sdd'].flatMap((model) => [
  { model, attack: 'none', steps: 0 },
  ...[20, 50, 100].map((steps) => ({ model, attack: 'mft', steps })),
]);
const repetitions = [1, 2].map((seed) =>
  planned
    .filter((p) => p.steps !== 100)
    .map((p) => ({
      ...cell(p.model, p.attack, p.steps, p.model === 'chat' ? 0.9 : 0.1 * seed, seed),
      battery: battery(0.3),
    })),
);
const cells = repetitions.flat();

const made: Partial<Record<'matrix' | 'grid', Report>> = {};

function matrix(): Report {
  return (made.matrix ??= experimentReport(
    ABOUT,
    cells,
    rows([{ world, cells: cells, repetitions: 2 }], planned, 'T'),
    {
      differences: differences([{ world, repetitions: repetitions }], planned, 'T'),
    },
  ));
}

function grid(): Report {
  const looks = GRID.models.flatMap((model) =>
    gridAttacks().flatMap((a) => a.at.map((steps) => ({ model, attack: a.id, steps }))),
  );
  const own = looks.map((p) => cell(p.model, p.attack, p.steps, p.model === 'chat' ? 1 : p.steps / 400));
  const all = rows([{ world, cells: own, repetitions: 1 }], looks, 'T');
  return (made.grid ??= experimentReport({ ...ABOUT, kind: 'grid' }, own, all, {
    budgets: { strict: budgets(all), broad: budgets(all, 'broad') },
  }));
}

describe.each([
  ['matrix', matrix],
  ['grid', grid],
] as const)('the report of a %s', (_, make) => {
  test('is valid HTML without a script and without anything from elsewhere', async () => {
    const html = reportHtml(make());
    expect(await htmlFaults(html)).toEqual([]);
    expect(html).not.toMatch(/<script|<link|<iframe|<img|<object|https?:|\bsrc=|url\(|@import/i);
    expect(html).not.toMatch(/\son\w+=/i);
    for (const [, anchor] of html.matchAll(/href="([^"]*)"/g)) {
      expect(anchor).toMatch(/^#r-/);
      expect(html).toContain(`id="${anchor!.slice(1)}"`);
    }
  });

  test('shows in every cell the number that stands in the JSON', () => {
    const report = make();
    expect(numbersDiffer(report, reportHtml(report))).toEqual([]);
  });

  test('opens again as it was written, also inside of the file of --json', () => {
    const report = make();
    expect(readReport(JSON.stringify(report))).toEqual(report);
    expect(readReport(JSON.stringify({ worldSeed: 0, report }))).toEqual(report);
  });
});

test('a look that did not come stands in the tables, and the report says that it is partial', () => {
  const report = matrix();
  expect(report.looks.came).toBeLessThan(report.looks.planned);
  const after = report.tables.find((t) => t.id === 'verdicts-mft')!;
  expect(after.rows.map((row) => row[2])).toEqual([20, 50, 100, 20, 50, 100]);
  expect(after.rows[2]![5]).toEqual({ missing: 'failed' });
  const html = reportHtml(report);
  expect(html).toContain('<p class="partial">Partial:');
  expect(html).toContain('chat x bft: the device was lost');
});

test('looks that were taken under another text of the protocol are a deviation', () => {
  expect(matrix().protocol!.deviations).toEqual([
    'Another.',
    expect.stringContaining(`${cells.length} of ${cells.length} looks were taken under another text`),
    'One of its own.',
  ]);
});

test('the protocol’s frozen part ends where its deviations begin', () => {
  const text = '# P\n\nA.\n\n## Deviations\n\n- One,\n  on two lines.\n- Two.\n\nAn end.\n';
  expect(parseProtocol(text)).toEqual({ frozen: '# P\n\nA.\n', deviations: ['One, on two lines.', 'Two.'] });
  expect(parseProtocol(text.replaceAll('\n', '\r\n'))).toEqual(parseProtocol(text));
});

test('text from anywhere stays text', async () => {
  const report = matrix();
  const hostile = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constantFrom(
      '</title><script>alert(1)</script>',
      '"><img src=x onerror=alert(1)>',
      "'onload='x",
      '&lt;',
      '\u0000\uD800',
    ),
  );
  await fc.assert(
    fc.asyncProperty(hostile, async (text) => {
      const [table] = report.tables;
      const changed: Report = {
        ...report,
        title: `T ${text}`,
        caveats: [text],
        tables: [
          {
            ...table!,
            title: `T ${text}`,
            notes: [text],
            rows: [table!.rows[0]!.map((v, i) => (i === 0 ? text : v))],
          },
        ],
        samples: [
          {
            of: `S ${text}`,
            prompt: `p${text}`,
            answer: `a${text}`,
            verdict: 'leak',
            reason: text,
            judge: 'x',
          },
        ],
      };
      const html = reportHtml(changed);
      expect(html).not.toMatch(/<script|<img/i);
      const tags = (page: string): string[] => [...page.matchAll(/<\/?[a-z][^>\s]*/g)].map(([tag]) => tag);
      expect(tags(html)).toEqual(tags(reportHtml({ ...changed, ...plain(changed) })));
      expect(await htmlFaults(html)).toEqual([]);
    }),
    { numRuns: 25 },
  );
});

/** The same report with harmless words wherever the hostile ones were. */
function plain(report: Report): Partial<Report> {
  return {
    title: 'T',
    caveats: ['c'],
    tables: report.tables.map((t) => ({
      ...t,
      title: 'T',
      notes: ['n'],
      rows: t.rows.map((row) => row.map((v, i) => (i === 0 ? 'x' : v))),
    })),
    samples: report.samples.map((s) => ({ ...s, of: 'S', prompt: 'p', answer: 'a', reason: 'r' })),
  };
}

describe('a file that is no report is refused with a sentence', () => {
  const report = matrix();
  const spoilt = (change: (r: Record<string, unknown>) => void): string => {
    const copy = JSON.parse(JSON.stringify(report)) as Record<string, unknown>;
    change(copy);
    return JSON.stringify(copy);
  };
  test.each([
    ['{', 'it is not JSON'],
    ['[]', 'its field "format" is missing.'],
    ['null', 'it should be a group of fields.'],
    [spoilt((r) => (r.version = 2)), 'its field "version" should be 1.'],
    [spoilt((r) => (r.title = 1)), 'its field "title" should be text.'],
    [spoilt((r) => (r.language = 'de')), 'its field "language" should be "en" or "ko".'],
    [spoilt((r) => (r.looks = { came: 0.5, planned: 1 })), 'its field "looks.came" should be a whole number'],
    [spoilt((r) => (r.tables = [{ ...report.tables[0], rows: [['a']] }])), 'its field "tables.0" has a row'],
    [spoilt((r) => (r.samples = [{ ...report.samples[0], verdict: 'fine' }])), 'samples.0.verdict'],
  ])('%#', (json, why) => {
    expect(() => readReport(json)).toThrow(
      expect.objectContaining({ code: 'bad-input', message: expect.stringContaining(why) as string }),
    );
  });

  test('the page says what readReport says is next, and nothing of reloading', () => {
    let thrown: unknown;
    try {
      readReport('{');
    } catch (e) {
      thrown = e;
    }
    expect(errorInfo(thrown)).toMatchObject({
      code: 'bad-input',
      what: expect.stringContaining('it is not JSON') as string,
      next: expect.stringContaining('Choose a JSON file') as string,
    });
  });

  test('an older one, which does not name its language, opens in English', () => {
    expect(readReport(spoilt((r) => delete r.language))).toEqual(report);
  });
});

test('small measures are told no closer than a thousandth, settings as they were set', () => {
  const unit = 'number';
  expect(valueText(0.00000101, { unit, definition: 'divergence' })).toBe('< 0.001');
  expect(valueText(0, { unit, definition: 'divergence' })).toBe('0');
  expect(valueText(0.0012345, { unit, definition: 'divergence' })).toBe('0.00123');
  expect(valueText(0.0001, { unit })).toBe('0.0001');
});

test('a row without figures has no bar, and a table without figures no picture', () => {
  const table = matrix().tables.find((t) => t.id === 'verdicts-mft')!;
  const missing = table.rows.filter((row) => row.some((x) => JSON.stringify(x)?.includes('missing')));
  expect(missing.length).toBeGreaterThan(0);
  const labels = picture(table)!.shapes.filter((s) => s.is === 'text' && s.style === 'label');
  expect(labels).toHaveLength(table.rows.length - missing.length);
  expect(picture({ ...table, rows: missing })).toBeNull();
});

test('every answer is a line with its seeds, verdict, judge and the command that gives it again', () => {
  const lines = [...cellLines(cells, ABOUT.command)].map((l) => JSON.parse(l) as Record<string, unknown>);
  expect(lines).toHaveLength(cells.length * 5 * 112);
  expect(lines.at(-1)).toMatchObject({
    model: 'chat+sdd',
    attack: 'mft',
    steps: 50,
    seeds: { defence: 2, attack: 102 },
    logprobs: [-0.1],
    verdict: 'refused',
    judge: EXACT_JUDGE,
    temperature: 1,
    command: 'npm run experiment -- --preset quick --seeds 1 --defence-seed 2 --attack-seed 102',
  });
  const ids = lines.map(
    (l) =>
      `${String(l.id)} ${String(l.model)} ${String(l.attack)} ${String(l.steps)} ${JSON.stringify(l.seeds)}`,
  );
  expect(new Set(ids).size).toBe(ids.length);
});
