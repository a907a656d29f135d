import type { Place } from '../../worker/protocol.ts';

/** A line, and the row where several may stand on it: "1 #12". */
export const lineText = ({ line, row }: Omit<Place, 'source'>): string =>
  row === undefined ? String(line) : `${line} #${row}`;

/** "set.json:1 #12" */
export const placeText = (place: Place): string => `${place.source}:${lineText(place)}`;
