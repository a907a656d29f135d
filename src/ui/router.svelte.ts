/** The places of the stage, in the order of the work. The hash names the place: `#/compare`. */
export const PLACES = ['model', 'defend', 'attack', 'compare', 'gpu'] as const;
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

export function go(to: Place): void {
  location.hash = `/${to}`;
}

/** Follows the address bar; returns the function that stops it. */
export function followHash(): () => void {
  const onChange = (): void => {
    place = read();
  };
  addEventListener('hashchange', onChange);
  return () => removeEventListener('hashchange', onChange);
}
