import { lab } from '../app/lab.svelte.ts';
import { HELD_OUT, type EvalSet } from '../worker/protocol.ts';

/**
 * Judging, one node after the other: asks for many verdicts (three nodes of a run) wait in line here, so that the
 * engine answers a typed question in between.
 */
interface Order {
  nodeId: string;
  set: EvalSet;
  quick: boolean;
  skills: boolean;
}

let line = $state.raw<Order[]>([]);
let skills = $state(true);
let abort: AbortController | null = null;

/** Whether the everyday questions are asked as well: they are most of the work, which counts on a slow GPU. */
export function judgesSkills(): boolean {
  return skills;
}

export function setJudgesSkills(on: boolean): void {
  skills = on;
}

/** True while the node waits for its verdicts or is being judged. */
export function isJudging(nodeId: string): boolean {
  return lab.evaluations.underWay[nodeId] !== undefined || line.some((o) => o.nodeId === nodeId);
}

/** Puts nodes in line; those already waiting are left where they are. */
export function judge(nodeIds: readonly string[], options: { set?: EvalSet; quick?: boolean } = {}): void {
  const { set = HELD_OUT, quick = false } = options;
  const fresh = nodeIds.filter((id) => !isJudging(id)).map((nodeId) => ({ nodeId, set, quick, skills }));
  line = [...line, ...fresh];
  if (!abort) void work();
}

/** Empties the line and ends the evaluation under way; what was judged before stays. */
export function stopJudging(): void {
  line = [];
  abort?.abort();
}

async function work(): Promise<void> {
  const mine = (abort = new AbortController());
  while (line.length > 0 && !mine.signal.aborted) {
    const [order, ...rest] = line;
    line = rest;
    if (order && lab.node(order.nodeId)) {
      await lab.evaluations.run(order.nodeId, {
        set: order.set,
        quick: order.quick,
        benign: order.skills,
        signal: mine.signal,
      });
    }
  }
  abort = null;
  if (line.length > 0) void work();
}
