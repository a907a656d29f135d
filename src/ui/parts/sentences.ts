import type { PromptCategory } from '../../worker/protocol.ts';

/** A category whose prompts differ by adjective and wording, taken apart for the sentence builder. */
export interface Sentences {
  adjectives: string[];
  /** Prompts with {A} where the adjective stands. */
  wordings: string[];
}

/**
 * Reads adjectives and wordings out of a category's prompts. The label ('open the ... vault') tells where the
 * adjective stands; null for a category without one (its prompts are picked whole).
 */
export function parts(category: PromptCategory): Sentences | null {
  const [before, after] = category.label.split(/\s*(?:\.\.\.|…)\s*/);
  if (before === undefined || after === undefined || after === '') return null;
  const escape = (s: string): string => s.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const pattern = new RegExp(`(${escape(before)}\\s+)(\\S+)(\\s+${escape(after)})`, 'i');
  const adjectives = new Set<string>();
  const wordings = new Set<string>();
  for (const { text } of category.prompts) {
    const match = pattern.exec(text);
    if (!match?.[2]) continue;
    adjectives.add(match[2]);
    wordings.add(text.replace(pattern, '$1{A}$3'));
  }
  return adjectives.size > 0 ? { adjectives: [...adjectives], wordings: [...wordings] } : null;
}

/** A prompt as the pickers say it. */
export interface Picked {
  category: PromptCategory;
  /** Null for a category whose prompts are picked whole. */
  shape: (Sentences & { adjective: string; wording: string }) | null;
}

/** Where a text stands among the pickers; null: it is the user's own. */
export function picked(categories: readonly PromptCategory[], text: string): Picked | null {
  const same = (a: string): boolean => a.trim().toLowerCase() === text.trim().toLowerCase();
  for (const category of categories) {
    const shape = parts(category);
    if (!shape) {
      if (category.prompts.some((p) => same(p.text))) return { category, shape };
      continue;
    }
    for (const wording of shape.wordings)
      for (const adjective of shape.adjectives)
        if (same(sentence(wording, adjective))) return { category, shape: { ...shape, adjective, wording } };
  }
  return null;
}

export function sentence(wording: string, adjective: string): string {
  return wording.replace('{A}', adjective);
}
