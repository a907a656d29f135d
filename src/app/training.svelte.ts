/** Training runs: starting, steering and finding them again. Progress comes as notices of the worker. */
import type { Attempts } from './attempts.svelte.ts';
import { RunView } from './runs.svelte.ts';
import type { Estimate, Notice, RunControl, RunInfo, TrainParams } from '../worker/protocol.ts';

export class Training {
  #attempts: Attempts;

  /** Every run of this session and the unfinished ones of earlier sessions, newest first. */
  runs = $state.raw<RunView[]>([]);
  /** The run whose charts are on show. */
  shownId = $state<string | null>(null);

  constructor(attempts: Attempts) {
    this.#attempts = attempts;
  }

  get shown(): RunView | null {
    return this.runs.find((r) => r.id === this.shownId) ?? null;
  }

  /** The run that holds the trainer, paused or not. */
  get active(): RunView | null {
    return this.runs.find((r) => r.active) ?? null;
  }

  /** Runs that wait on disk to be taken up again; one that failed before everyone's eyes says so where it is shown. */
  get interrupted(): RunView[] {
    return this.runs.filter(({ id, head }) => {
      const waits = head.state === 'stopped' || (head.state === 'failed' && id !== this.shownId);
      return waits && head.checkpointStep < head.total;
    });
  }

  estimate(params: TrainParams, signal: AbortSignal): Promise<Estimate | null> {
    return this.#attempts.try('estimate', params, signal);
  }

  /** Starts a run and shows it; follow it through `shown`. What went wrong before it is no news any more. */
  async start(params: TrainParams): Promise<RunView | null> {
    this.#attempts.error = null;
    const run = await this.#attempts.try('train', params);
    return run && this.#show(run);
  }

  async control(runId: string, control: RunControl): Promise<void> {
    const run = await this.#attempts.try('control', { runId, control });
    if (run) this.#view(run).replace(run);
  }

  /** Takes up a run of an earlier visit; it stands paused at its last checkpoint. */
  async reopen(runId: string): Promise<RunView | null> {
    const run = await this.#attempts.try('reopenRun', { runId });
    return run && this.#show(run);
  }

  async discard(runId: string): Promise<void> {
    await this.#attempts.try('discardRun', { runId });
  }

  /** Asks again how the runs stand that other tabs have open. */
  async lookAgain(): Promise<void> {
    const now = await this.#attempts.try('runs', {});
    if (!now) return;
    this.runs = this.runs.flatMap((view) => {
      if (!view.head.elsewhere) return [view];
      const run = now.find((r) => r.id === view.id);
      return run ? [new RunView(run)] : [];
    });
  }

  /** What the worker knows after it has (re)started. */
  open(runs: readonly RunInfo[]): void {
    this.runs = runs.map((r) => new RunView(r));
  }

  /** The worker is gone, and with it all that was under way. */
  loseAll(): void {
    for (const run of this.runs) run.lose();
  }

  apply({ runId, event }: Extract<Notice, { type: 'run' }>): void {
    const view = this.runs.find((r) => r.id === runId);
    if (view) view.apply(event);
    else if (event.type === 'state') {
      this.runs = [new RunView({ ...event.run, log: [], probes: [] }), ...this.runs];
    }
  }

  forget(runId: string): void {
    this.runs.find((r) => r.id === runId)?.lose();
    this.runs = this.runs.filter((r) => r.id !== runId);
    if (this.shownId === runId) this.shownId = null;
  }

  #view(run: RunInfo): RunView {
    const known = this.runs.find((r) => r.id === run.id);
    if (known) return known;
    const view = new RunView(run);
    this.runs = [view, ...this.runs];
    return view;
  }

  #show(run: RunInfo): RunView {
    const view = this.#view(run);
    this.shownId = view.id;
    return view;
  }
}
