import { en } from './messages/en.ts';

/** The English catalogue defines the keys and, by its placeholders, the parameters of every message. */
export type Key = keyof typeof en;
export type Catalogue = Record<Key, string>;
export type Locale = 'en' | 'ko';

/** Each language by its own name, the same in every catalogue. */
export const LOCALES: readonly { id: Locale; name: string }[] = [
  { id: 'en', name: 'English' },
  { id: 'ko', name: '한국어' },
];

type Holes<S extends string> = S extends `${string}{${infer P}}${infer Rest}` ? P | Holes<Rest> : never;
type Args<K extends Key> = [Holes<(typeof en)[K]>] extends [never]
  ? []
  : [values: Record<Holes<(typeof en)[K]>, string | number>];

let shown: { locale: Locale; catalogue: Catalogue } = $state.raw({ locale: 'en', catalogue: en });

/** The language on the page; reading it inside a component follows later changes. */
export function locale(): Locale {
  return shown.locale;
}

/** Loads a catalogue (Korean on demand) and shows it. English always works without the network. */
export async function setLocale(next: Locale): Promise<void> {
  const catalogue = next === 'ko' ? (await import('./messages/ko.ts')).ko : en;
  shown = { locale: next, catalogue };
  document.documentElement.lang = next;
}

function fill(text: string, values: Record<string, string | number> | undefined): string {
  if (!values) return text;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const v = values[name];
    return v === undefined ? whole : typeof v === 'number' ? num(v) : v;
  });
}

/** The message for a key; numbers among the values are written in the reader's notation. */
export function t<K extends Key>(key: K, ...args: Args<K>): string {
  return fill(shown.catalogue[key], args[0] as Record<string, string | number> | undefined);
}

/** For keys put together from data (recipe ids, error codes): the message, or the fallback where there is none. */
export function tMaybe(key: string, fallback: string, values?: Record<string, string | number>): string {
  const text = (shown.catalogue as Record<string, string>)[key];
  return text === undefined ? fallback : fill(text, values);
}

/** A number in the reader's notation. `digits`: decimals, at most. */
export function num(x: number, digits = 0): string {
  return new Intl.NumberFormat(shown.locale, { maximumFractionDigits: digits }).format(x);
}

/** Numbers in a row: '20, 50, and 100'. */
export function list(xs: readonly number[]): string {
  return new Intl.ListFormat(shown.locale, { type: 'conjunction' }).format(xs.map((x) => num(x)));
}

/** A share 0..1 as per cent. `digits`: decimals, at most. */
export function pct(x: number, digits = 0): string {
  return new Intl.NumberFormat(shown.locale, { style: 'percent', maximumFractionDigits: digits }).format(x);
}

/** A day and time, from milliseconds since 1970. */
export function moment(at: number): string {
  return new Intl.DateTimeFormat(shown.locale, { dateStyle: 'medium', timeStyle: 'short' }).format(at);
}

/** A size in bytes with a unit. */
export function bytes(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB'];
  let u = 0;
  let x = n;
  while (x >= 1000 && u < units.length - 1) {
    x /= 1000;
    u++;
  }
  return `${num(x, x < 10 && u > 0 ? 1 : 0)} ${units[u]}`;
}

/** Seconds in words: '12 s', '3 min 20 s', '1 h 5 min'. */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return t('time.s', { s });
  if (s < 3600) return t('time.min', { m: Math.floor(s / 60), s: s % 60 });
  return t('time.h', { h: Math.floor(s / 3600), m: Math.floor((s % 3600) / 60) });
}
