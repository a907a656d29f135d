import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, type AST } from 'svelte/compiler';
import { describe, expect, it } from 'vitest';
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

  it('does not promise too much about SDD', () => {
    for (const [key, text] of Object.entries(en)) {
      if (key === 'permanent') continue; // It says what this is NOT about.
      expect(text, key).not.toMatch(/\b(safe|safety|secure|secured|immune|prevents?)\b/i);
    }
  });
});

describe('components', () => {
  const components = sources.filter((s) => s.path.endsWith('.svelte'));

  /** Attributes that a reader sees or hears. */
  const SPOKEN = new Set(['title', 'aria-label', 'aria-description', 'placeholder', 'alt', 'label']);
  /** The lab's own name, and marks that are hidden from speech or stand beside words. */
  const ALLOWED = /^[\s\d.,:;()·×✓…/{}-]*$|^SDD Lab$/;

  function hardCoded(source: string): string[] {
    const found: string[] = [];
    const walk = (value: unknown): void => {
      if (Array.isArray(value)) value.forEach(walk);
      else if (value && typeof value === 'object') {
        const node = value as AST.SvelteNode & Record<string, unknown>;
        if (node.type === 'Text') {
          const text = String(node.data).trim();
          if (!ALLOWED.test(text)) found.push(text);
          return;
        }
        if (node.type === 'Attribute') {
          const name = String(node.name);
          if (SPOKEN.has(name)) walk(node.value);
          else if (name.startsWith('on')) return;
          else if (Array.isArray(node.value) && node.value.every((v) => v.type === 'Text')) return;
          else if (node.value !== true) walk(node.value);
          return;
        }
        for (const key of Object.keys(node)) if (key !== 'parent' && key !== 'css') walk(node[key]);
      }
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
