/** What a visitor waits for: the JavaScript before the first paint, and the paint itself. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab } from './browser.ts';

const dist = resolve(import.meta.dirname, '../../dist');
const text = (path: string): string => readFileSync(join(dist, path), 'utf8');

/** Scripts that index.html names, and all that they import before they run; workers and dynamic imports left out. */
function initialScripts(): string[] {
  const found = [...text('index.html').matchAll(/(?:src|href)="\.\/([^"]+\.js)"/g)].map((m) => m[1]!);
  for (const path of found) {
    const imports = text(path).matchAll(
      /(?:^|[;}\s])(?:import|export)\b[^'"`;()]*?["'](\.{1,2}\/[^"']+\.js)["']/g,
    );
    for (const [, spec] of imports) {
      const target = posix.join(posix.dirname(path), spec!);
      if (!found.includes(target)) found.push(target);
    }
  }
  return found;
}

describe('the first load', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start({ untouched: true });
  });
  afterAll(() => lab?.close());

  test('needs at most 150 kB of JavaScript, compressed', () => {
    const sizes = initialScripts().map((path) => [path, gzipSync(text(path)).length] as const);
    const total = sizes.reduce((sum, [, size]) => sum + size, 0);
    console.log(
      `    initial JavaScript: ${(total / 1000).toFixed(1)} kB gzip in ${sizes.length} files (at most 150 kB)`,
    );
    expect(total).toBeGreaterThan(10_000);
    expect(total, JSON.stringify(sizes)).toBeLessThanOrEqual(150_000);
  });

  test('has nothing of WebLLM in it, nor has the engine before it is asked for', () => {
    // said by the library alone, in words that no minifier takes away
    const mark = 'MLCEngine.reload(model) to load the model';
    const all = readdirSync(join(dist, 'assets')).filter((name) => name.endsWith('.js'));
    const holding = all.filter((name) => text(`assets/${name}`).includes(mark));
    expect(holding, 'the mark is in the chunk of the library').toHaveLength(1);
    expect(initialScripts().filter((path) => text(path).includes(mark))).toEqual([]);
    expect(initialScripts().map((path) => posix.basename(path))).not.toContain(holding[0]);
    // the worker names its chunk in a dynamic import alone
    const engine = all.find((name) => name.startsWith('engine-worker-'))!;
    const source = text(`assets/${engine}`);
    expect(source).not.toContain(mark);
    expect(source.match(new RegExp(`import\\(["'\`]\\./${holding[0]!}`, 'g'))?.length).toBe(1);
    expect(source).not.toMatch(new RegExp(`(?:from|import)\\s*["']\\./${holding[0]!}`));
  });

  test('fetches no other script before it paints', async () => {
    const paint = (): Promise<number> =>
      lab.page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0);
    await expect.poll(paint, { timeout: 60_000 }).toBeGreaterThan(0);
    // Printed, not judged: how fast a machine paints depends on who else is using it.
    console.log(`    first paint: ${(await paint()).toFixed(0)} ms (goal: 1000 ms)`);
    const initial = initialScripts();
    const early = await lab.page.evaluate(
      (end) => {
        const all = performance.getEntriesByType('resource') as PerformanceResourceTiming[];
        return all
          .filter((e) => e.startTime < end && e.name.endsWith('.js'))
          .map((e) => new URL(e.name).pathname);
      },
      await paint(),
    );
    const engine = /engine-worker/;
    expect(early.map((p) => p.slice(1)).filter((p) => !initial.includes(p) && !engine.test(p))).toEqual([]);
    expect(lab.problems()).toEqual([]);
  });
});
