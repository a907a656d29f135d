import Papa from 'papaparse';

export type CsvRow = readonly (string | number | null)[];

/** RFC 4180, numbers unrounded. A text that a spreadsheet would run as a formula gets an apostrophe before it. */
export const csv = (head: readonly string[], rows: readonly CsvRow[]): string =>
  `${Papa.unparse([head, ...rows] as unknown[][], { escapeFormulae: /^[=+@\t\r]/ })}\r\n`;
