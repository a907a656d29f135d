/**
 * A user's data file as rows: recognised by its content, read in slices, so that a file of any size takes little memory.
 * `inspect` says what it is by its beginning; `readRows` reads it to its end.
 */
export { inspect, type Choice, type Inspection } from './inspect.ts';
export { LAYOUTS, layoutOf } from './layouts.ts';
export type { LengthSummary } from './lengths.ts';
export { readRows, type Progress, type ReadOptions } from './read.ts';
export { KEPT_REJECTED, type CountTokens, type ReadReport } from './tally.ts';
export type { Field, Format, LayoutId, Mapping, Note, Reason, Refusal, Rejected } from './types.ts';
export { remedy, sentence } from './words.ts';
