/** A training run as the page draws it: a RunInfo whose lists grow with the worker's notices. */
import type { ProbePoint, RunEvent, RunInfo, RunState, StepPoint } from '../worker/protocol.ts';

type RunHead = Omit<RunInfo, 'log' | 'probes'>;

export class RunView {
  readonly id: string;
  /** Everything but the lists: state, step, total, tokensPerSecond, secondsLeft, checkpointStep, error ... */
  head = $state.raw() as RunHead;
  log = $state.raw<StepPoint[]>([]);
  probes = $state.raw<ProbePoint[]>([]);

  #waiting: ((state: RunState) => void)[] = [];

  constructor(run: RunInfo) {
    this.id = run.id;
    this.replace(run);
  }

  /** Under way: it holds the GPU or waits paused with its optimizer in memory. */
  get active(): boolean {
    return this.head.state === 'starting' || this.head.state === 'running' || this.head.state === 'paused';
  }

  get latest(): StepPoint | null {
    return this.log[this.log.length - 1] ?? null;
  }

  get latestProbe(): ProbePoint | null {
    return this.probes[this.probes.length - 1] ?? null;
  }

  /** Resolves when the run is no longer active. */
  ended(): Promise<RunState> {
    if (!this.active) return Promise.resolve(this.head.state);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The worker that drove the run is gone, or has forgotten it. */
  lose(): void {
    if (this.active) this.#setHead({ ...this.head, state: 'stopped' });
  }

  replace(run: RunInfo): void {
    const { log, probes, ...head } = run;
    this.#setHead(head);
    this.log = log;
    this.probes = probes;
  }

  apply(event: RunEvent): void {
    switch (event.type) {
      case 'state':
        this.#setHead(event.run);
        break;
      case 'steps': {
        const { points, step, total, tokensPerSecond, secondsLeft } = event;
        this.head = { ...this.head, step, total, tokensPerSecond, secondsLeft };
        this.log = [...this.log, ...points];
        break;
      }
      case 'probe':
        this.probes = [...this.probes, event.point];
        break;
      case 'checkpoint':
        this.head = { ...this.head, checkpointStep: event.step, checkpointAt: event.at };
        break;
      case 'node':
        this.head = {
          ...this.head,
          saved: [...this.head.saved, { step: event.step, nodeId: event.node.id }],
        };
        break;
    }
  }

  #setHead(head: RunHead): void {
    this.head = head;
    if (this.active) return;
    for (const resolve of this.#waiting.splice(0)) resolve(head.state);
  }
}
