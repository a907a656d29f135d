import type { Place } from '../../worker/protocol.ts';

/** File and line, and the row where several may stand on a line: "set.json:1 #12". */
export const placeText = ({ source, line, row }: Place): string =>
  row === undefined ? `${source}:${line}` : `${source}:${line} #${row}`;
