import { describe, expect, test } from 'vitest';
import { main } from '../../src/cli/experiment.ts';
import { ownDepends, ownPlan, type OwnValues } from '../../src/cli/experiment-own.ts';
import type { OwnCell } from '../../src/cli/experiment/own.ts';
import { ownRows, ownTables } from '../../src/cli/experiment/own-report.ts';
import { openPrompts } from '../../src/cli/prompts.ts';
import { wilson } from '../../src/core/stats.ts';
import { fileTask } from '../../src/data/file-task.ts';
import type { ChatCodec } from '../../src/data/task.ts';
import type { HeldOutScore } from '../../src/eval/held-out.ts';
import type { RuleVerdict } from '../../src/core/verdicts.ts';

const VALUES: OwnValues = {
  method: 'lora',
  rank: '2',
  alpha: '4',
  'chat-steps': '0',
  at: '1,2',
  fresh: false,
};
const seeds = { defence: 1, attack: 101 };
const prompts = await openPrompts('tiny');
const task = fileTask(prompts, {} as ChatCodec);

function score(refusals: number, n: number, loss: number | null): HeldOutScore {
  const verdicts = Array.from({ length: n }, (_, i): RuleVerdict =>
    i < refusals ? 'refusal' : 'not judged',
  );
  const of = (k: RuleVerdict): number => verdicts.filter((v) => v === k).length;
  const each = <T>(figure: (k: RuleVerdict) => T): Record<RuleVerdict, T> => ({
    refusal: figure('refusal'),
    'same as reference': figure('same as reference'),
    degenerate: figure('degenerate'),
    'not judged': figure('not judged'),
  });
  return {
    n,
    counts: each(of),
    intervals: each((k) => wilson(of(k), n)),
    references: loss === null ? 0 : n,
    loss,
    perplexity: loss === null ? null : Math.exp(loss),
    answers: verdicts.map((verdict, i) => ({ prompt: `p${i}`, answer: 'a', verdict, reason: 'r' })),
  };
}
const cell = (attack: string, own: OwnCell['seeds'], harmful: HeldOutScore, benign = harmful): OwnCell => ({
  model: 'model',
  attack,
  steps: attack === 'none' ? 0 : 20,
  seeds: own,
  settings: {},
  loss: null,
  scores: { harmful, benign },
});

describe('the table of an own model', () => {
  test('joins seeds: mean, n and interval; what depends on no seed counts once', () => {
    const untouched = cell('none', {}, score(2, 8, 1), score(0, 0, null));
    const cells = [101, 102, 103].flatMap((attack, i) => [
      untouched,
      cell('mft', { attack }, score([0, 4, 8][i]!, 8, [1, 2, 6][i]!), score(0, 0, null)),
    ]);
    const [none, mft] = ownRows(cells);
    expect(none).toMatchObject({ attack: 'none', runs: 1 });
    expect(none!.harmful.rates.refusal).toEqual({ value: 0.25, interval: wilson(2, 8) });
    expect(mft).toMatchObject({ runs: 3, harmful: { n: 8, loss: { mean: 3, range: [1, 6] } } });
    const { value, interval } = mft!.harmful.rates.refusal;
    expect(value).toBe(0.5);
    // seeds that disagree make it wider than the prompts alone do
    expect(interval[0]).toBeLessThan(wilson(4, 8)[0]);
    expect(interval[1]).toBeGreaterThan(wilson(4, 8)[1]);
    const text = ownTables([none!, mft!]);
    expect(text).toMatch(/harmful prompts, n = 8, .*bootstrap over seeds/);
    expect(text).toMatch(/^model +none +1 +25 \[7 59\]/m);
    expect(text).toMatch(/^model +mft @20 +3 +50 \[\d+ \d+\].* 3\.00 \(1\.00 6\.00\) +20\.1$/m);
    expect(text).toMatch(/benign prompts, n = 0.*\n.* 0 reference answers\n.*\nmodel +none +1 +- /);
  });

  test('never says that no prompt can be refused because in a few seeds none was', () => {
    const [row] = ownRows([1, 2, 3].map((attack) => cell('mft', { attack }, score(0, 8, 1))));
    expect(row!.harmful.rates.refusal).toEqual({ value: 0, interval: wilson(0, 8) });
  });
});

describe('an own model’s stored cells', () => {
  const description = {
    config: { a: 1 },
    generationConfig: undefined,
    tokenizer: { t: 1 },
    tokenizerConfig: { chat_template: 'x' },
    template: undefined,
    vocabulary: undefined,
  };
  const values = new Float32Array([1, 2, 3, 4]);
  const lora = { r: 2, alpha: 4, targets: ['q_proj'] as const };
  const key = (own: object = {}, adapter: object = {}): string =>
    JSON.stringify(
      ownDepends({
        opened: { description: { ...description, ...own } },
        weights: ['w'],
        prompts: prompts.sha256,
        rows: { maxTokens: 64, newTokens: 8, limit: null },
        plan: ownPlan(task, VALUES, seeds, { lora, values }),
        returned: { lora: { ...lora, ...adapter }, values },
      }),
    );

  test('belong to one tokenizer, template, and adapter', () => {
    const keys = [
      key(),
      key({ tokenizerConfig: { chat_template: 'y' } }),
      key({ template: 'y' }),
      key({ tokenizer: { t: 2 } }),
      key({ generationConfig: { eos_token_id: 7 } }),
      key({}, { r: 4 }),
      key({}, { alpha: 8 }),
      key({}, { targets: ['v_proj'] }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    expect(key()).toBe(keys[0]);
  });
});

describe('npm run experiment', () => {
  test.each([
    [['--model', 'x', '--preset', 'quick'], /--preset belongs to the tiny world/],
    [['--model', 'x', '--grid'], /--grid belongs to the tiny world/],
    [['--models', 'y', '--model', 'x'], /--models belongs to the tiny world/],
    [['--model', 'x', '--seeds', '0'], /--seeds wants a whole number from 1/],
    [['--rank', '4'], /--rank wants --model DIR/],
    [['--limit', '4', '--grid'], /--limit wants --model DIR/],
  ])('refuses by name what it would ignore: %j', async (argv, why) => {
    await expect(main(argv)).rejects.toThrow(why);
  });
});
