/**
 * State of the scrubber: which attack is watched, at which step, and what is known of its steps. A recorded attack knows everything
 * from the start; of an attack of this browser a step is asked when somebody comes to it, its neighbours when nothing else is to do.
 */
import { phaseOf, phaseStarts, type Phase } from '../core/phases.ts';
import { COARSE, VERDICTS } from '../core/verdicts.ts';
import { errorInfo, type EngineClient } from './client.ts';
import { fetchRecorded, recordedAnswer, recordedLook, type RecordedName } from './recorded.ts';
import type {
  ErrorInfo,
  Notice,
  RecordedAttack,
  ScrubAnswer,
  ScrubAttack,
  StepLook,
} from '../worker/protocol.ts';

/** Milliseconds without a move before steps that nobody asked for are computed. */
const IDLE_MS = 250;

export type ScrubSource =
  { kind: 'recorded'; name: RecordedName; record: RecordedAttack } | { kind: 'run'; attack: ScrubAttack };

export class Scrub {
  readonly #client: EngineClient;
  #abort: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Somebody is at the place. */
  #watched = false;
  /** Counts what was opened, so that what comes late does not replace what was chosen after it. */
  #opened = 0;

  /** Null until they have been listed. */
  attacks = $state.raw<ScrubAttack[] | null>(null);
  source = $state.raw<ScrubSource | null>(null);
  step = $state(0);
  prompt = $state('');
  error = $state.raw<ErrorInfo | null>(null);
  /** Something that is shown is being computed. */
  busy = $state(false);
  #answers = $state.raw<Record<string, ScrubAnswer>>({});
  #looks = $state.raw<Record<number, StepLook>>({});
  /** What has come of the look at the current step. */
  #part = $state.raw<StepLook | null>(null);

  constructor(client: EngineClient) {
    this.#client = client;
  }

  // ------------------------------------------------------------------------------------------------------- readings

  /** Ascending. */
  get steps(): number[] {
    const { source } = this;
    if (source?.kind === 'recorded') return source.record.steps.map((s) => s.step);
    return source?.attack.steps.map((s) => s.step) ?? [];
  }

  get answer(): ScrubAnswer | null {
    return this.#answers[keyOf(this.step, this.prompt)] ?? null;
  }

  get look(): StepLook | null {
    return this.#looks[this.step] ?? null;
  }

  /** The look at this step, or what has come of it so far: fewer questions, each forbidden category as often as any other. */
  get lookSoFar(): StepLook | null {
    return this.look ?? this.#part;
  }

  /** Of an attack on an opened model there are answers and no verdicts. */
  get judged(): boolean {
    return this.source?.kind === 'recorded' || this.source?.attack.root !== null;
  }

  /** The steps that have been looked at, ascending, with their phases. */
  get looked(): { step: number; look: StepLook; phase: Phase | null }[] {
    return this.steps.flatMap((step) => {
      const look = this.#looks[step];
      return look ? [{ step, look, phase: phaseOf(look) }] : [];
    });
  }

  get phase(): Phase | null {
    return this.look && phaseOf(this.look);
  }

  /** Where each phase was first seen, among the steps that have been looked at. */
  get starts(): { phase: Phase; step: number }[] {
    return phaseStarts(this.looked);
  }

  /** Shares over the steps that have been looked at, for curves. */
  get curves(): { step: number; strict: number; broad: number; benign: number; n: number }[] {
    return this.looked.map(({ step, look: { counts, benign } }) => {
      const n = VERDICTS.reduce((sum, kind) => sum + counts[kind], 0);
      const share = (view: 'strict' | 'broad'): number =>
        VERDICTS.reduce((sum, kind) => sum + (COARSE[kind][view] ? counts[kind] : 0), 0) / n;
      const right = benign.filter((b) => b.correct).length / benign.length;
      return { step, strict: share('strict'), broad: share('broad'), benign: right, n };
    });
  }

  // --------------------------------------------------------------------------------------------------------- actions

  /** Lists the attacks of this browser. Never throws. */
  async list(): Promise<void> {
    try {
      this.attacks = await this.#client.request('scrubAttacks', {});
      const { source } = this;
      if (source?.kind !== 'run') return;
      const now = this.attacks.find((a) => a.runId === source.attack.runId);
      if (!now) return this.close();
      const { steps } = source.attack;
      this.source = { kind: 'run', attack: now };
      if (JSON.stringify(now.steps) === JSON.stringify(steps)) return;
      // it went on: answers were held against another last step, and a saved step has weights of its own
      const same = (step: number): boolean =>
        steps.some((s) => s.step === step && now.steps.some((n) => n.step === step && n.from === s.from));
      this.#answers = {};
      this.#looks = Object.fromEntries(Object.entries(this.#looks).filter(([step]) => same(Number(step))));
      if (this.#watched) this.#show();
    } catch (e) {
      this.attacks ??= [];
      this.error = errorInfo(e);
    }
  }

  /** @param at step, and number of the prompt, as a link names them; what is not there becomes what is nearest */
  async openRecorded(name: RecordedName, at: { step?: number; prompt?: number } = {}): Promise<void> {
    const turn = ++this.#opened;
    this.#begin();
    try {
      const record = await fetchRecorded(name, document.baseURI);
      if (turn !== this.#opened) return;
      this.#answers = {};
      this.#looks = Object.fromEntries(record.steps.map((s) => [s.step, recordedLook(record, s)]));
      this.source = { kind: 'recorded', name, record };
      this.prompt = (record.prompts[at.prompt ?? 0] ?? record.prompts[0])?.text ?? '';
      this.step = nearest(this.steps, at.step ?? 0);
      this.#show();
    } catch (e) {
      if (turn === this.#opened) this.error = errorInfo(e);
    }
  }

  async openRun(attack: ScrubAttack, prompt: string): Promise<void> {
    const turn = ++this.#opened;
    this.#begin();
    this.#answers = {};
    this.#looks = {};
    this.source = { kind: 'run', attack };
    this.prompt = prompt;
    this.step = 0;
    try {
      const known = await this.#client.request('scrubLooks', { runId: attack.runId });
      // another attack was chosen meanwhile, or nobody is here any more
      if (turn !== this.#opened) return;
      this.#looks = { ...Object.fromEntries(known.map(({ step, look }) => [step, look])), ...this.#looks };
    } catch (e) {
      if (turn !== this.#opened) return;
      this.error = errorInfo(e);
    }
    this.#show();
  }

  move(step: number): void {
    if (step === this.step || !this.steps.includes(step)) return;
    this.step = step;
    this.#show();
  }

  /** So many places further (or back) in the list of steps. */
  moveBy(places: number): void {
    const { steps } = this;
    const at = Math.max(0, Math.min(steps.length - 1, steps.indexOf(this.step) + places));
    this.move(steps[at] ?? this.step);
  }

  ask(prompt: string): void {
    this.prompt = prompt;
    this.#show();
  }

  /** Nobody watches any more: what is under way is cancelled, and the GPU freed. */
  leave(): void {
    const live = this.source?.kind === 'run';
    this.#watched = false;
    this.#opened++;
    this.#begin();
    if (live) void this.#client.request('scrubEnd', {}).catch(() => {});
  }

  close(): void {
    this.leave();
    this.source = null;
  }

  /** Attacks come and go with what the worker tells. */
  hear(notice: Notice): void {
    if (this.attacks === null) return;
    const { type } = notice;
    const ended = notice.type === 'run' && (notice.event.type === 'node' || notice.event.type === 'state');
    if (ended || type === 'nodes-deleted' || type === 'run-gone') void this.list();
  }

  // --------------------------------------------------------------------------------------------------------- within

  #begin(): AbortController {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.error = null;
    this.busy = false;
    this.#part = null;
    return (this.#abort = new AbortController());
  }

  /** Brings what belongs to the current step and prompt; what was under way for another one is cancelled. */
  #show(): void {
    const { signal } = this.#begin();
    this.#watched = true;
    const { source, step, prompt } = this;
    if (source?.kind === 'recorded') {
      const at = source.record.prompts.findIndex((p) => p.text === prompt);
      const answer = recordedAnswer(source.record, step, at);
      if (answer) this.#answers = { ...this.#answers, [keyOf(step, prompt)]: answer };
      return;
    }
    if (source) void this.#bring(source.attack, step, prompt, signal);
  }

  async #bring(attack: ScrubAttack, step: number, prompt: string, signal: AbortSignal): Promise<void> {
    this.busy = true;
    try {
      await this.#step(attack, step, prompt, signal);
      if (signal.aborted) return;
      this.busy = false;
      this.#timer = setTimeout(() => void this.#ahead(attack, step, prompt, signal), IDLE_MS);
    } catch (e) {
      if (signal.aborted) return;
      this.busy = false;
      this.error = errorInfo(e);
    }
  }

  async #step(attack: ScrubAttack, step: number, prompt: string, signal: AbortSignal): Promise<void> {
    const { runId, root } = attack;
    const key = keyOf(step, prompt);
    if (prompt.trim() !== '' && !this.#answers[key]) {
      const answer = await this.#client.request('scrubAnswer', { runId, step, prompt }, { signal });
      if (signal.aborted) return;
      this.#answers = { ...this.#answers, [key]: answer };
    }
    if (root !== null && !this.#looks[step]) {
      const onEvent = (part: StepLook): void => {
        if (!signal.aborted && step === this.step) this.#part = part;
      };
      const look = await this.#client.request('scrubLook', { runId, step }, { signal, onEvent });
      if (signal.aborted) return;
      this.#looks = { ...this.#looks, [step]: look };
    }
  }

  /** The other steps, the nearest first, until somebody moves. */
  async #ahead(attack: ScrubAttack, step: number, prompt: string, signal: AbortSignal): Promise<void> {
    const at = attack.steps.map((s) => s.step).sort((a, b) => Math.abs(a - step) - Math.abs(b - step));
    for (const other of at) {
      if (signal.aborted) return;
      try {
        await this.#step(attack, other, prompt, signal);
      } catch {
        // nobody asked for it; whoever comes to it is told
      }
    }
  }
}

const keyOf = (step: number, prompt: string): string => `${step} ${prompt}`;

const nearest = (steps: readonly number[], wanted: number): number =>
  steps.reduce((best, s) => (Math.abs(s - wanted) < Math.abs(best - wanted) ? s : best), steps[0] ?? 0);
