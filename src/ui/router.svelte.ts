/** The places of the stage, in the order of the work. The hash names the place: `#/compare`. */
export const PLACES = [
  'model',
  'data',
  'pairs',
  'defend',
  'attack',
  'scrub',
  'compare',
  'measure',
  'insights',
  'storage',
  'gpu',
] as const;
export type Place = (typeof PLACES)[number] | 'showme';

function read(): Place {
  const name = location.hash.replace(/^#\/?/, '').split('?')[0];
  if (name === 'showme') return 'showme';
  return PLACES.find((p) => p === name) ?? 'model';
}

let place = $state<Place>(read());

/** The place on the stage. */
export function here(): Place {
  return place;
}

export function href(to: Place, query: Record<string, string | number> = {}): string {
  const asked = new URLSearchParams(Object.entries(query).map(([key, value]) => [key, String(value)]));
  return asked.size > 0 ? `#/${to}?${asked}` : `#/${to}`;
}

/** What the address asks of its place. */
export function query(): URLSearchParams {
  return new URLSearchParams(location.hash.split('?')[1] ?? '');
}

/** Writes what is on show into the address, without going anywhere. */
export function remark(to: Place, query: Record<string, string | number>): void {
  history.replaceState(history.state, '', href(to, query));
}

/** Where the stage shall stand after the next change of place; null: at its top. */
let landing: string | null = null;

/** Opens a place; `id`: an element of it to bring into view and to go on from. */
export function go(to: Place, id: string | null = null): void {
  landing = id;
  if (to === place) {
    if (id) land();
  } else location.hash = `/${to}`;
}

/** Brings the element that `go` named into view and focuses it, once it is there; else the page begins at its top. */
export function land(): void {
  const id = landing;
  landing = null;
  requestAnimationFrame(() => {
    const at = id && document.getElementById(id);
    if (!at) return scrollTo(0, 0);
    at.focus({ preventScroll: true });
    at.scrollIntoView({ block: 'start' });
  });
}

/** Follows the address bar; returns the function that stops it. */
export function followHash(): () => void {
  const onChange = (): void => {
    place = read();
  };
  addEventListener('hashchange', onChange);
  return () => removeEventListener('hashchange', onChange);
}
