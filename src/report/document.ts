/**
 * The report of a measurement: everything that a reader needs to believe it, or not, in one JSON document. The HTML form
 * (html.ts) is made of it alone, so that both say the same. Written by the terminal and by the page, opened by the page.
 */
import * as v from 'valibot';
import { LabError } from '../core/errors.ts';
import { RULE_VERDICTS, VERDICTS } from '../core/verdicts.ts';
import { say, type Language } from './words.ts';

// What is said of a field goes on after its name.
const LONG = 'is too long';
const WHOLE = 'should be a whole number, 0 or more';
const HASH = 'should be a SHA-256 in hexadecimal digits';
const text = v.pipe(v.string(), v.maxLength(100_000, LONG));
const id = v.pipe(v.string(), v.maxLength(300, LONG));
const count = v.pipe(v.number(), v.integer(WHOLE), v.minValue(0, WHOLE));

const Figure = v.object({ value: v.number(), low: v.number(), high: v.number() });
/** A value of a table: words, a number, a number with its 95 % interval, or nothing; `missing` says why. */
const Value = v.union([v.string(), v.number(), Figure, v.object({ missing: text }), v.null()]);

/**
 * What the numbers of a column are: `share` 0..1, shown in per cent; `difference` of shares, shown in points; `count` whole;
 * `number` anything else.
 */
const UNITS = ['text', 'count', 'share', 'difference', 'number'] as const;

const Column = v.object({
  id,
  title: text,
  unit: v.picklist(UNITS),
  /** Id of its definition. */
  definition: v.optional(id),
});

const Table = v.pipe(
  v.object({
    id,
    title: text,
    /** How it came about, what it does not say. */
    notes: v.array(text),
    columns: v.pipe(v.array(Column), v.minLength(1, 'should name at least one column')),
    rows: v.array(v.array(Value)),
    /**
     * Drawn above the table. `verdicts`: one bar a row of the columns named after the verdicts. `curves`: the columns `ys`
     * over the column `x`, one line for each different content of the column `line`. `intervals`: the columns `values` of each row
     * with their intervals, and chance, one share for all or the name of a column, as a dashed line. `heat`: one field for each row at `x` and `y`,
     * the stronger the larger the share in `value`. `lines`: the shares `ys` over the number `x`, with their spread. `ranges`: for each
     * row the number `value` between -1 and 1 with its interval, before the band `band` that chance leaves. `scatter`: a mark for
     * each row at the share `x` and the share or number of steps `y`, with their intervals; where the text of `open` is not empty the
     * number is a bound.
     */
    picture: v.optional(
      v.variant('kind', [
        v.object({ kind: v.literal('verdicts'), label: v.array(id) }),
        v.object({
          kind: v.literal('intervals'),
          label: v.array(id),
          values: v.array(id),
          chance: v.union([v.pipe(v.number(), v.minValue(0), v.maxValue(1)), id]),
          /** What chance is called. */
          called: text,
          title: text,
        }),
        v.object({ kind: v.literal('curves'), x: id, y: id, line: v.array(id), title: text }),
        v.object({ kind: v.literal('heat'), x: id, y: id, value: id, title: text }),
        v.object({ kind: v.literal('lines'), x: id, ys: v.array(id), title: text }),
        v.object({ kind: v.literal('ranges'), label: v.array(id), value: id, band: id, title: text }),
        v.object({
          kind: v.literal('scatter'),
          x: id,
          y: id,
          open: v.optional(id),
          label: v.array(id),
          title: text,
        }),
      ]),
    ),
  }),
  v.check(
    (table) => table.rows.every((row) => row.length === table.columns.length),
    'has a row with more or fewer values than it has columns',
  ),
);

const Sample = v.object({
  /** What was asked and answered: model, attack, steps. */
  of: text,
  prompt: text,
  answer: text,
  /** Of the exact judge, or of rules on an opened model's answers. */
  verdict: v.picklist([...VERDICTS, ...RULE_VERDICTS]),
  reason: text,
  judge: id,
  /** An opened model's answer to a prompt of its user: shown to whoever asks for it. */
  veiled: v.optional(v.boolean()),
});

export const ReportSchema = v.object({
  format: v.literal('sdd-lab-report'),
  version: v.literal(1),
  /** Older reports are in English and do not say so. */
  language: v.optional(v.picklist(['en', 'ko']), 'en'),
  title: text,
  /** ISO 8601. */
  createdAt: v.pipe(v.string(), v.isoTimestamp('should be a time in ISO 8601')),
  /** What was measured, in pairs of a name and a value: world, models, seeds, adapter, kernels, code. */
  facts: v.array(v.object({ name: text, value: text })),
  protocol: v.nullable(
    v.object({
      name: text,
      /** Of its frozen part. */
      sha256: v.pipe(v.string(), v.hexadecimal(HASH), v.length(64, HASH)),
      /** In which this measurement departs from it, and those that the protocol itself lists. */
      deviations: v.array(text),
    }),
  ),
  /** What a reader must know before believing a figure. */
  caveats: v.array(text),
  definitions: v.array(v.object({ id, title: text, text })),
  tables: v.array(Table),
  samples: v.array(Sample),
  /** Runs that did not finish, and what was left out; each with its reason. */
  failures: v.array(v.object({ what: text, why: text })),
  /** How many looks were planned and how many came; fewer: the report is partial. */
  looks: v.object({ came: count, planned: count }),
  /** Command lines that measure it again, by what they measure. */
  commands: v.array(v.object({ what: text, command: text })),
});

export type Report = v.InferOutput<typeof ReportSchema>;
export type ReportTable = v.InferOutput<typeof Table>;
export type ReportColumn = v.InferOutput<typeof Column>;
export type ReportValue = v.InferOutput<typeof Value>;

/** Larger files are no report of this lab. */
const MOST_BYTES = 64 * 2 ** 20;

/** @throws LabError('bad-input') saying what is wrong with the file */
export function readReport(json: string): Report {
  const refuse = (why: string, cause?: unknown): LabError =>
    new LabError('bad-input', `This report cannot be opened: ${why}.`, {
      cause,
      safe: 'Nothing was changed.',
      next: 'Choose a JSON file that "npm run experiment -- --json FILE" or the page wrote.',
    });
  if (json.length > MOST_BYTES) throw refuse('the file is too large for one');
  let data: unknown;
  try {
    data = JSON.parse(json);
  } catch (cause) {
    throw refuse('it is not JSON', cause);
  }
  const found = data !== null && typeof data === 'object' && 'report' in data ? data.report : data;
  const result = v.safeParse(ReportSchema, found);
  if (result.success) return result.output;
  throw refuse(fault(result.issues[0]));
}

/** Valibot's names of what it expects. */
const EXPECTED: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  Array: 'a list',
  Object: 'a group of fields',
};

/** Which field is wrong, and what was expected. */
function fault(issue: v.InferIssue<typeof ReportSchema>): string {
  const path = issue.path?.map((p) => String(p.key)).join('.');
  const field = path ? `its field "${path}"` : 'it';
  if (issue.received === 'undefined') return `${field} is missing`;
  if (issue.kind === 'validation') return `${field} ${issue.message}`;
  const choices = (issue.expected ?? '').replace(/[()]/g, '').split(' | ');
  return `${field} should be ${choices.map((c) => EXPECTED[c] ?? c).join(' or ')}`;
}

/** As the tables show it: the one place that rounds. */
export function valueText(value: ReportValue, column: Pick<ReportColumn, 'unit' | 'definition'>): string {
  if (value === null) return '–';
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return numberText(value, column);
  if ('missing' in value) return value.missing;
  const text = (x: number): string => numberText(x, column);
  return `${text(value.value)} [${text(value.low)}, ${text(value.high)}]`;
}

/** Measures smaller than this are told no closer. */
const SMALL = 0.001;

function numberText(x: number, { unit, definition }: Pick<ReportColumn, 'unit' | 'definition'>): string {
  if (!Number.isFinite(x)) return '–';
  if (unit === 'share') return (100 * x).toFixed(0);
  if (unit === 'difference') return `${x > 0 ? '+' : x < 0 ? '−' : ''}${Math.abs(100 * x).toFixed(0)}`;
  if (unit === 'count') return x.toFixed(0);
  // What has no definition is a setting, such as a learning rate, and stands as it was set.
  if (definition !== undefined && x > 0 && x < SMALL) return `< ${SMALL}`;
  return Math.abs(x) >= 1000 ? x.toFixed(0) : String(Number(x.toPrecision(3)));
}

export const unitText = (unit: ReportColumn['unit'], language: Language): string =>
  ({ share: '%', difference: say(language, 'points'), text: '', count: '', number: '' })[unit];
