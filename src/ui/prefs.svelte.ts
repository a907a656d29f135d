import { setLocale, type Locale } from './i18n.svelte.ts';

/** Choices of the reader that outlive the visit. Storage may be refused (private windows): then they last one visit. */
export type Theme = 'auto' | 'light' | 'dark';

function load(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function save(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // The choice still holds for this visit.
  }
}

export { load as remembered, save as remember };

let chosenTheme = $state<Theme>('auto');

export function theme(): Theme {
  return chosenTheme;
}

/** Whether the page is dark now, by choice or by the system. */
export const dark = (): boolean =>
  chosenTheme === 'auto' ? matchMedia('(prefers-color-scheme: dark)').matches : chosenTheme === 'dark';

export function setTheme(next: Theme): void {
  chosenTheme = next;
  if (next === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  save('sdd-lab.theme', next);
}

export async function chooseLocale(next: Locale): Promise<void> {
  await setLocale(next);
  save('sdd-lab.locale', next);
}

/** Applies the stored choices, else the browser's language. Called once, before the first paint. */
export async function restorePrefs(): Promise<void> {
  const t = load('sdd-lab.theme');
  if (t === 'light' || t === 'dark') setTheme(t);
  const stored = load('sdd-lab.locale');
  const wanted = stored ?? navigator.language.slice(0, 2);
  await setLocale(wanted === 'ko' ? 'ko' : 'en');
}
