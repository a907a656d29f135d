import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, type AST } from 'svelte/compiler';
import { describe, expect, it } from 'vitest';
import { parseLlamaConfig, tensorShapes } from '../../src/core/config.ts';
import { tinyConfigJson } from '../../src/recipes/tiny.ts';
import { en } from '../../src/ui/messages/en.ts';
import { ko } from '../../src/ui/messages/ko.ts';

const UI = 'src/ui';
const files = readdirSync(UI, { recursive: true, encoding: 'utf8' }).map((f) => join(UI, f));
const sources = files
  .filter((f) => /\.(svelte|ts)$/.test(f) && !f.includes('messages'))
  .map((path) => ({ path, text: readFileSync(path, 'utf8') }));
const holes = (s: string): string[] => [...s.matchAll(/\{(\w+)\}/g)].map((m) => m[1]!).sort();

describe('message catalogue', () => {
  it('has the same keys in both languages', () => {
    expect(Object.keys(ko).sort()).toEqual(Object.keys(en).sort());
  });

  it('has the same holes in both languages', () => {
    for (const [key, text] of Object.entries(en))
      expect(holes(ko[key as keyof typeof ko]), key).toEqual(holes(text));
  });

  it('leaves no message empty', () => {
    for (const [key, text] of [...Object.entries(en), ...Object.entries(ko)])
      expect(text.trim(), key).not.toBe('');
  });

  it('has no message that nothing uses', () => {
    const all = sources.map((s) => s.text).join('\n');
    const patterns = [...all.matchAll(/\bt(?:Maybe)?\(\s*`([^`]+)`/g)].map(
      (m) =>
        new RegExp(
          `^${m[1]!
            .split(/\$\{[^}]*\}/)
            .map((part) => part.replace(/[.]/g, '\\.'))
            .join('.+')}$`,
        ),
    );
    const unused = Object.keys(en).filter(
      (key) => !all.includes(`'${key}'`) && !patterns.some((p) => p.test(key)),
    );
    expect(unused).toEqual([]);
  });

  it('has what, safe and next for every error code', () => {
    const union =
      /export type ErrorCode =([^;]+);/.exec(readFileSync('src/core/errors.ts', 'utf8'))?.[1] ?? '';
    const codes = new Set([...union.matchAll(/'([\w-]+)'/g)].map((m) => m[1]!));
    codes.delete('cancelled'); // never shown
    expect(codes.size).toBeGreaterThan(10);
    for (const code of codes)
      for (const part of ['what', 'safe', 'next']) expect(en).toHaveProperty([`error.${code}.${part}`]);
  });

  it('tells the size of the embedded models as it is', () => {
    const shapes = [...tensorShapes(parseLlamaConfig(tinyConfigJson())).values()];
    const parameters = shapes.reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
    expect(en.permanent).toContain(` ${(parameters / 1e6).toFixed(1)} million parameters`);
    expect(ko.permanent).toContain(`매개변수 ${Math.round(parameters / 1e5) * 10}만 개`);
  });

  it('does not promise too much about SDD', () => {
    for (const [key, text] of Object.entries(en)) {
      if (key.startsWith('permanent')) continue; // It says what this is NOT about.
      expect(text, key).not.toMatch(/\b(safe|safety|secure|secured|immune|prevents?)\b/i);
    }
  });
});

describe('components', () => {
  const components = sources.filter((s) => s.path.endsWith('.svelte'));

  /** Attributes that a reader sees or hears. */
  const SPOKEN = new Set(['title', 'aria-label', 'aria-description', 'placeholder', 'alt', 'label']);
  /** The lab's own name, and marks that are hidden from speech or stand beside words. */
  const ALLOWED = /^[\s\d%.,:;()·×✓…›/{}-]*$|^SDD Lab$/;

  /** Strings that an expression can put on the page: literals, branches of a condition, parts of a template. */
  function said(e: unknown): string[] {
    const x = e as Record<string, unknown> & { type?: string };
    if (x.type === 'Literal') return typeof x.value === 'string' ? [x.value] : [];
    if (x.type === 'ConditionalExpression') return [...said(x.consequent), ...said(x.alternate)];
    if (x.type === 'LogicalExpression') return said(x.right);
    if (x.type === 'TemplateLiteral')
      return (x.quasis as { value: { cooked: string } }[]).map((q) => q.value.cooked);
    return [];
  }

  function hardCoded(source: string): string[] {
    const found: string[] = [];
    const keep = (text: string): void => {
      if (!ALLOWED.test(text.trim())) found.push(text.trim());
    };
    const walk = (value: unknown): void => {
      if (Array.isArray(value)) return value.forEach(walk);
      if (!value || typeof value !== 'object') return;
      const node = value as AST.SvelteNode & Record<string, unknown>;
      if (node.type === 'StyleDirective' || node.type === 'ClassDirective') return;
      if (node.type === 'Attribute' && !SPOKEN.has(String(node.name))) return;
      if (node.type === 'Text') keep(String(node.data));
      else if (node.type === 'ExpressionTag') said(node.expression).forEach(keep);
      else for (const key of Object.keys(node)) walk(node[key]);
    };
    walk(parse(source, { modern: true }).fragment);
    return found;
  }

  it('hold no text of their own', () => {
    for (const { path, text } of components) expect(hardCoded(text), path).toEqual([]);
  });

  it('the check finds what it looks for', () => {
    expect(hardCoded('<p>Hello</p>')).toEqual(['Hello']);
    expect(hardCoded('<p title="Hello">{x}</p>')).toEqual(['Hello']);
    expect(hardCoded('<p>{x ? "Hello" : y}</p>')).toEqual(['Hello']);
    expect(hardCoded('<p class="hello">{t("x")}</p>')).toEqual([]);
  });

  it('never parse text as HTML and set no style attribute', () => {
    for (const { path, text } of components) {
      expect(text, path).not.toMatch(/\{@html/);
      expect(text, path).not.toMatch(/\sstyle=/);
    }
  });

  it('stay small', () => {
    for (const { path, text } of components) expect(text.split('\n').length, path).toBeLessThan(250);
  });
});
