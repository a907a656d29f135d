import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { mutations } from '../../scripts/lib/mutations.mjs';

describe('mutations', () => {
  it.each(mutations)('$name has its one place in $file', ({ file, find, replace, test }) => {
    expect(readFileSync(file, 'utf8').split(find)).toHaveLength(2);
    expect(replace).not.toBe(find);
    expect(
      readFileSync(
        test.find((part) => part.endsWith('.test.ts'))!,
        'utf8',
      ),
    ).not.toBe('');
  });
});
