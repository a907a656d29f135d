interface TraceEvent {
  name: string;
  ph: string;
  pid: number;
  tid: number;
  /** Thread CPU time, microseconds. */
  tdur?: number;
  args?: { name?: string };
}

/** The longest task of any page's main thread in a Chromium trace, milliseconds of CPU time; 0 when it holds none. */
export function longestTask(trace: Buffer): number {
  const { traceEvents } = JSON.parse(trace.toString()) as { traceEvents: TraceEvent[] };
  const thread = (e: TraceEvent): string => `${e.pid}/${e.tid}`;
  const mains = new Set(
    traceEvents.filter((e) => e.name === 'thread_name' && e.args?.name === 'CrRendererMain').map(thread),
  );
  const tasks = traceEvents.filter((e) => e.ph === 'X' && /\bRunTask$/.test(e.name) && mains.has(thread(e)));
  return Math.max(0, ...tasks.map((e) => e.tdur ?? 0)) / 1000;
}
