import { it } from 'vitest';

/** Set by `npm test -- long`. */
export const LONG = process.env.SDD_LONG_TESTS === '1';

/** A test that takes a minute or so on a software driver and says what others say nearly as well: `npm test -- long` runs it. */
export const long = LONG ? it : it.skip;
