import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab } from './browser.ts';

describe('a recorded attack, without a GPU and with the keyboard alone', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start({ args: ['--disable-features=WebGPU'] });
  });
  afterAll(() => lab?.close());

  const main = () => lab.page.getByRole('main');
  const slider = () => main().getByRole('slider', { name: 'Step of the attack' });
  const phase = () => main().getByRole('status').first().innerText();
  const press = (key: string) => lab.page.keyboard.press(key);

  /** Presses Tab until something is focused. */
  async function tabTo(role: 'link' | 'slider', name: string): Promise<void> {
    const wanted = lab.page.getByRole(role, { name, exact: true });
    for (let i = 0; i < 60; i++) {
      if (await wanted.evaluate((at) => at === document.activeElement).catch(() => false)) return;
      await press('Tab');
    }
    throw new Error(`the keyboard does not reach ${name}`);
  }

  test('tells where irrelevant answers turn into a leak, and where compliance returns', async () => {
    await tabTo('link', 'Watch');
    await press('Enter');
    await expect.poll(() => slider().count()).toBe(1);
    await tabTo('slider', 'Step of the attack');
    const seen: { step: string; phase: string }[] = [];
    await press('Home');
    for (let last = ''; ;) {
      const now = (await slider().getAttribute('aria-valuetext')) ?? '';
      if (now === last) break;
      last = now;
      const step = /^step (\d+) of 100/.exec(now)![1]!;
      // what is seen is what is said, and the answer below is that step's
      await expect.poll(phase).toBe(/: (.+)$/.exec(now)?.[1] ?? 'between phases');
      expect(
        await main()
          .getByRole('heading', { name: `Its answer at step ${step}` })
          .count(),
      ).toBe(1);
      seen.push({ step, phase: await phase() });
      await press('ArrowRight');
    }
    const first = (name: string) => Number(seen.find((s) => s.phase === name)?.step);
    expect(seen[0]).toEqual({ step: '0', phase: 'irrelevant answers' });
    expect(first('off-target leak')).toBeGreaterThan(5);
    expect(first('compliance returns')).toBeGreaterThan(first('off-target leak'));
    // they are the ones that the page names
    for (const name of ['off-target leak', 'compliance returns'])
      expect(
        await main()
          .getByRole('button', { name: `Go to step ${first(name)}: ${name}` })
          .count(),
      ).toBe(1);
    await press('Home');
    await expect.poll(phase).toBe('irrelevant answers');
    await press('PageUp');
    await expect.poll(() => slider().getAttribute('aria-valuetext')).toContain('step 3 of 100');
    expect(await lab.accessibility()).toEqual([]);
  });

  test('tokens are read one by one with the arrow keys', async () => {
    const words = main().getByRole('toolbar', { name: /^Tokens/ });
    await words.getByRole('button').first().focus();
    await press('ArrowRight');
    await press('ArrowRight');
    const facts = main().locator('dl.facts').first();
    expect(await facts.innerText()).toContain('here');
    expect(await facts.locator('li').count()).toBe(5);
    expect(await facts.innerText()).toContain('chance under the model before the attack');
  });

  test('a link opens the very step and question, and holds no text', async () => {
    const select = main().getByLabel('Question', { exact: true });
    const question = (await select.locator('option').nth(7).innerText()).trim();
    await select.selectOption(question);
    await slider().focus();
    await press('End');
    const address = (await main().getByRole('link', { name: 'Link to this step' }).getAttribute('href'))!;
    expect(address).toBe('#/scrub?recorded=sdd-mft&step=100&prompt=7');
    const answer = await main().locator('.said').innerText();
    const other = await lab.open(address);
    await expect.poll(() => other.locator('.said').innerText()).toBe(answer);
    expect(await other.getByLabel('Question', { exact: true }).inputValue()).toBe(question);
    await other.close();
    expect(lab.problems()).toEqual([]);
  });
});
