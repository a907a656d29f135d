/** A report's page held against the HTML standard and against the JSON that it was made of. */
import { HtmlValidate } from 'html-validate';
import type { Report, ReportValue } from '../../../src/report/document.ts';

const validator = new HtmlValidate({
  extends: ['html-validate:standard'],
  // Prettier's business, if anybody's.
  rules: { 'no-trailing-whitespace': 'off', 'void-style': 'off', 'long-title': 'off' },
});

/** What is wrong with a page, by the validator's rules. */
export async function htmlFaults(html: string): Promise<string[]> {
  const { results } = await validator.validateString(html);
  return results.flatMap((r) => r.messages.map((m) => `${m.ruleId} at ${m.line}:${m.column}: ${m.message}`));
}

const untext = (html: string): string =>
  html
    .replace(/<[^>]*>/g, '')
    .replace(
      /&(lt|gt|quot|#39|amp);/g,
      (_, e: string) => ({ lt: '<', gt: '>', quot: '"', '#39': "'", amp: '&' })[e]!,
    );

/** The tables of a page: per table its rows, per row the text of its cells. */
function tablesOf(html: string): string[][][] {
  return [...html.matchAll(/<tbody>(.*?)<\/tbody>/gs)].map(([, body]) =>
    [...body!.matchAll(/<tr>(.*?)<\/tr>/gs)].map(([, row]) =>
      [...row!.matchAll(/<td[^>]*>(.*?)<\/td>/gs)].map(([, text]) => untext(text!)),
    ),
  );
}

/** Numbers that a cell shows, in the unit of the JSON. */
function shown(text: string, scale: number): number[] {
  return [...text.replaceAll('−', '-').matchAll(/-?\d+(\.\d+)?(e[+-]\d+)?/g)].map(([n]) => Number(n) / scale);
}

function numbersOf(value: ReportValue): number[] {
  if (typeof value === 'number') return [value];
  if (value === null || typeof value !== 'object' || 'missing' in value) return [];
  return [value.value, value.low, value.high];
}

/** Cells whose text is not the value of the JSON, to the rounding of its unit; and tables that show no number at all. */
export function numbersDiffer(report: Report, html: string): string[] {
  const tables = tablesOf(html);
  if (tables.length !== report.tables.length)
    return [`${tables.length} tables instead of ${report.tables.length}`];
  let compared = 0;
  const wrong = report.tables.flatMap((table, t) => {
    if (tables[t]!.length !== table.rows.length) return [`${table.id}: ${tables[t]!.length} rows`];
    return table.rows.flatMap((row, r) =>
      row.flatMap((value, c) => {
        const { unit, id } = table.columns[c]!;
        const text = tables[t]![r]![c]!;
        const at = `${table.id}, row ${r}, ${id}: ${text} for ${JSON.stringify(value)}`;
        if (typeof value === 'string') return text === value ? [] : [at];
        if (value !== null && typeof value === 'object' && 'missing' in value)
          return text === value.missing ? [] : [at];
        const scale = unit === 'share' || unit === 'difference' ? 100 : 1;
        const want = numbersOf(value);
        const found = want.length === 0 ? [] : shown(text, scale);
        compared += want.length;
        const near = want.every((x, i) => {
          const rounding = unit === 'number' ? Math.abs(x) * 0.005 : 0.5 / scale;
          return Math.abs(found[i]! - x) <= rounding + 1e-12;
        });
        return found.length === want.length && near ? [] : [at];
      }),
    );
  });
  return compared > 50 ? wrong : [...wrong, `${compared} numbers compared`];
}
