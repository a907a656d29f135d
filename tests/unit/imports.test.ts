import { describe, expect, test } from 'vitest';
import { reached } from '../../scripts/check-imports.mjs';

const arrow = (from: string, to: string) => ({ from, to, dynamic: false });
const RULES = 'src/eval/judges/rules/rules.ts';

describe('the rules judge is blind to the tiny world', () => {
  test('also by way of what it imports, however long the way', () => {
    const far = [
      arrow(RULES, 'src/eval/judges/port.ts'),
      arrow('src/eval/judges/port.ts', 'src/data/task.ts'),
      arrow('src/data/task.ts', RULES),
      arrow('src/data/task.ts', 'src/world/words.ts'),
    ];
    expect(reached(far)).toMatchObject([
      { from: `${RULES} -> src/eval/judges/port.ts -> src/data/task.ts`, to: 'src/world/words.ts' },
    ]);
    expect(reached(far.slice(0, 3))).toEqual([]);
    expect(reached([arrow(RULES, 'src/world/words.ts')])).toMatchObject([{ from: RULES }]);
    expect(reached([arrow('src/eval/judges/exact.ts', 'src/world/words.ts')])).toEqual([]);
  });
});
