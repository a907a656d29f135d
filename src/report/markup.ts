/** Markup that has been escaped: what is put into a template of `markup` is text unless it is one of these. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Also without the control characters that a document may not hold. */
export const escapeText = (text: string): string =>
  text
    // eslint-disable-next-line no-control-regex -- those are meant
    .replace(/[\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\uFFFE\uFFFF]/g, '\uFFFD')
    .replace(/\p{Surrogate}/gu, '\uFFFD')
    .replace(/[&<>"']/g, (c) => ENTITIES[c]!);

type Part = string | number | Markup | readonly Markup[];

const partText = (part: Part): string => {
  if (part instanceof Markup) return part.text;
  if (typeof part === 'object') return part.map((p) => p.text).join('');
  return escapeText(String(part));
};

/** A template whose holes are escaped, but for markup. */
export function markup(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return new Markup(strings.reduce((text, s, i) => text + partText(parts[i - 1]!) + s));
}

export const nothing = new Markup('');
