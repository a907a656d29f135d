import { expect, it } from 'vitest';
import { paperTables } from '../../src/report/paper-tables.ts';
import { drawingSvg, tableCsv } from '../../src/report/table-file.ts';
import { picture } from '../../src/report/pictures.ts';

it("says of the paper's figures whose they are, in both languages", () => {
  for (const [language, mark] of [
    ['en', 'Llama-2-7B, GPT-4 judge, not reproduced here'],
    ['ko', '여기서 재현하지 않음'],
  ] as const)
    for (const table of paperTables(language)) expect(table.notes.join(' ')).toContain(mark);
});

it('fits its columns, and every share lies within 0 and 1', () => {
  for (const { columns, rows } of paperTables('en'))
    for (const row of rows) {
      expect(row).toHaveLength(columns.length);
      columns.forEach(({ unit }, i) => {
        if (unit === 'share') expect(row[i]).toBeGreaterThanOrEqual(0);
        if (unit === 'share') expect(row[i]).toBeLessThanOrEqual(1);
      });
    }
});

it('can be taken away as table and picture', () => {
  const [harm] = paperTables('en');
  expect(tableCsv(harm!).split('\r\n')[4]).toContain('vanilla,100,4.54,0.8');
  expect(drawingSvg(picture(harm!)!, 'light')).toContain('<svg');
});
