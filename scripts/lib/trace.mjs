/**
 * @typedef {object} TraceEvent
 * @property {string} name
 * @property {string} ph
 * @property {number} pid
 * @property {number} tid
 * @property {number} [tdur] thread CPU time, microseconds
 * @property {{ name?: string }} [args]
 */

/**
 * The longest piece of work of any page's main thread in a Chromium trace, milliseconds of CPU time; 0 when it holds none. Microtasks
 * are not within the tasks that such a trace names, so whatever is named counts.
 * @param {Buffer} trace
 */
export function longestTask(trace) {
  /** @type {{ traceEvents: TraceEvent[] }} */
  const { traceEvents } = JSON.parse(trace.toString());
  const thread = (/** @type {TraceEvent} */ e) => `${e.pid}/${e.tid}`;
  const mains = new Set(
    traceEvents.filter((e) => e.name === 'thread_name' && e.args?.name === 'CrRendererMain').map(thread),
  );
  const work = traceEvents.filter((e) => e.ph === 'X' && mains.has(thread(e)));
  return work.reduce((longest, e) => Math.max(longest, e.tdur ?? 0), 0) / 1000;
}
