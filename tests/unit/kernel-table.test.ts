import { describe, expect, it } from 'vitest';
import { defaultTable, everyMatmul, MATMUL_CLASSES, readTable } from '../../src/core/kernel-table.ts';

describe('a stored kernel table', () => {
  it.each([0, 4, 8, 32])('of an adapter with subgroups of %i comes back as it was, through JSON', (lanes) => {
    const table = { ...defaultTable(lanes), matmul: everyMatmul('plain'), gemv: 1 };
    expect(readTable(JSON.parse(JSON.stringify(table)), lanes)).toEqual(table);
  });

  const usual = defaultTable(8);
  const { 'NT small': _, ...missing } = usual.matmul;
  it.each([
    ['nothing', undefined],
    ['the form of before there were classes', { ...usual, matmul: 'subgroup' }],
    ['a class that is missing', { ...usual, matmul: missing }],
    ['a family that nobody knows', { ...usual, matmul: { ...usual.matmul, 'TN large': 'magic' } }],
    ['rows that are no number', { ...usual, gemv: '8' }],
    ['more rows than the kernel has', { ...usual, gemv: 9 }],
    ['attention that nobody knows', { ...usual, attention: 'flash' }],
    ['other lanes', { ...usual, subgroupSize: 16 }],
  ])('is refused: %s', (_name, stored) => {
    expect(readTable(stored, 8)).toBeNull();
  });

  it('that needs subgroups is refused where there are none', () => {
    for (const what of MATMUL_CLASSES) {
      const table = defaultTable(0);
      expect(readTable({ ...table, matmul: { ...table.matmul, [what]: 'subgroup' } }, 0)).toBeNull();
    }
    expect(readTable({ ...defaultTable(0), attention: 'subgroup' }, 0)).toBeNull();
    expect(readTable({ ...defaultTable(0), reduce: 'subgroup' }, 0)).toBeNull();
  });
});
