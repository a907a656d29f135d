/** The places of the stage, in the order of the work. The hash names the place: `#/compare`. */
export const PLACES = [
  'model',
  'data',
  'pairs',
  'defend',
  'attack',
  'compare',
  'measure',
  'insights',
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

export function href(to: Place): string {
  return `#/${to}`;
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
