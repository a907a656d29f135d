/**
 * The data of a recipe with more than one kind of rows: a refusal and a harmful answer to the same request, batches of a retain
 * set. Each stream has a cursor of its own, or goes with another one row by row.
 */
import { LabError } from '../core/errors.ts';
import type { Example } from '../core/types.ts';
import { Batches, type BatchesState, type BatchOrder } from '../data/batches.ts';
import type { ChatCodec, ChatItem, EncodeReport } from '../data/task.ts';
import type { BatchSource, OpenBatches } from '../train/session.ts';

/** Rows by the name of their stream; `main` is what a step takes where it names none. */
export type Streams<T> = { main: T[] } & Record<string, T[]>;

/** How a stream other than `main` is taken. */
export interface StreamPlan {
  /** Rows in a batch; absent: as many as the run's. Not for a stream that goes `with` another. */
  batch?: number;
  /**
   * Row i belongs to row i of this stream: both come in the same order, in batches of the same size. Where one of the two is too
   * long for the model, both are left out.
   */
  with?: string;
}
export type StreamPlans = Readonly<Record<string, StreamPlan>>;

export function streamsOf(data: ChatItem[] | Streams<ChatItem>): Streams<ChatItem> {
  return Array.isArray(data) ? { main: data } : data;
}

/** Every row of every stream, in a fixed order. */
export const allRows = <T>(streams: Streams<T>): T[] => Object.values(streams).flat();

/** Rows of a batch of a stream. */
export function rowsOf(name: string, batch: number, plans: StreamPlans = {}): number {
  const plan = plans[name];
  return plan?.with === undefined ? (plan?.batch ?? batch) : rowsOf(plan.with, batch, plans);
}

/** Streams that go together, each under the name of the one that leads. */
function groupsOf(names: readonly string[], plans: StreamPlans): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const name of names) {
    const lead = plans[name]?.with ?? name;
    groups.set(lead, [...(groups.get(lead) ?? []), name]);
  }
  return groups;
}

/** @throws LabError 'bad-input' where no pair is left */
export function encodeStreams(
  codec: Pick<ChatCodec, 'encode'>,
  items: Streams<ChatItem>,
  plans: StreamPlans = {},
): { streams: Streams<Example>; report: EncodeReport } {
  const streams: Streams<Example> = { main: [] };
  const report: EncodeReport = { longest: 0, truncated: [], merged: 0 };
  const add = (r: EncodeReport): void => {
    report.longest = Math.max(report.longest, r.longest);
    report.truncated.push(...r.truncated);
    report.merged += r.merged;
  };
  for (const [lead, names] of groupsOf(Object.keys(items), plans)) {
    if (names.length > 1) {
      const { rows, dropped } = encodePairs(
        codec,
        names.map((name) => items[name]!),
        add,
      );
      names.forEach((name, k) => (streams[name] = rows[k]!));
      if (dropped.length > 0) (report.dropped ??= []).push(...dropped);
      continue;
    }
    const encoded = codec.encode(items[lead]!);
    add(encoded.report);
    streams[lead] = encoded.examples;
  }
  return { streams, report };
}

/** Rows of the same number together: all of them, or none where one would have to be cut. */
function encodePairs(
  codec: Pick<ChatCodec, 'encode'>,
  lists: readonly (readonly ChatItem[])[],
  add: (report: EncodeReport) => void,
): { rows: Example[][]; dropped: { line?: number }[] } {
  const count = lists[0]!.length;
  if (lists.some((list) => list.length !== count))
    throw new Error('streams that go together differ in length');
  const rows: Example[][] = lists.map(() => []);
  const dropped: { line?: number }[] = [];
  for (let i = 0; i < count; i++) {
    const encoded = lists.map((list) => codec.encode([list[i]!]));
    if (encoded.some((e) => e.report.truncated.length > 0)) {
      const { line } = lists[0]![i]!;
      dropped.push(line === undefined ? {} : { line });
      continue;
    }
    encoded.forEach((e, k) => {
      add(e.report);
      rows[k]!.push(e.examples[0]!);
    });
  }
  if (count > 0 && rows[0]!.length === 0)
    throw new LabError('bad-input', `None of the ${count} pairs fits: one row of each is too long.`, {
      safe: 'Nothing was started.',
      next: 'Allow longer rows, or give shorter answers.',
    });
  return { rows, dropped };
}

/**
 * Streams in seeded order, epoch after epoch, for a session. With one stream the state is that stream's own, as it is in runs
 * from before there were several.
 */
export function openStreams(
  streams: Streams<Example>,
  plan: { batch: number; order?: BatchOrder; streams?: StreamPlans },
  seed: string,
): OpenBatches {
  const plans = plan.streams ?? {};
  const source = (name: string, at: BatchesState | null): BatchSource<BatchesState> => {
    const lead = plans[name]?.with ?? name;
    const leader = streams[lead]!;
    const rows = streams[name]!;
    const batch = rowsOf(lead, plan.batch, plans);
    const batches = at
      ? Batches.from(leader, batch, at)
      : new Batches(leader, batch, lead === 'main' ? seed : `${seed}/${lead}`, plan.order);
    return {
      next: () => batches.nextIndices().map((i) => rows[i]!),
      state: () => batches.state(),
    };
  };
  const names = Object.keys(streams);
  return (at) => {
    const stored = at as BatchesState | { streams: Record<string, BatchesState> } | null;
    const of = (name: string): BatchesState | null =>
      stored === null ? null : 'streams' in stored ? (stored.streams[name] ?? missing(name)) : stored;
    const open = new Map(names.map((name) => [name, source(name, of(name))]));
    return {
      next: (name = 'main') => open.get(name)!.next(),
      state: () =>
        names.length === 1
          ? open.get('main')!.state()
          : { streams: Object.fromEntries([...open].map(([name, one]) => [name, one.state()])) },
    };
  };
}

function missing(name: string): never {
  throw new LabError('bad-input', `The stored run does not say where its data "${name}" stood.`, {
    safe: 'The checkpoint itself is unharmed.',
    next: 'Start the run anew.',
  });
}
