/** A person judging answers blind: the sheet, where it stands, and what comes out. */
import type { Attempts } from './attempts.svelte.ts';
import { Job } from './job.svelte.ts';
import type { AuditResult, AuditSheet, BlindAnswer, CoarseKind } from '../worker/protocol.ts';

export class Audit {
  #attempts: Attempts;
  /** Holding the rules against the person. */
  readonly job = new Job<{ done: number; total: number }>();

  /** Null until it was asked for. */
  sheet = $state.raw<AuditSheet | null>(null);
  /** Digests that were put off, in that order: they come again at the end. */
  #skipped = $state.raw<readonly string[]>([]);
  /** Digests that were labelled or put off on this page, last one last. */
  #done = $state.raw<readonly string[]>([]);
  result = $state.raw<AuditResult | null>(null);

  constructor(attempts: Attempts) {
    this.#attempts = attempts;
  }

  /** Answers that wait for a verdict, in the order in which they come. */
  readonly #waiting = $derived.by((): readonly BlindAnswer[] => {
    const open = this.sheet?.answers.filter((a) => this.sheet?.labels[a.digest] === undefined) ?? [];
    const place = (a: BlindAnswer): number => this.#skipped.indexOf(a.digest);
    return [...open].sort((a, b) => place(a) - place(b));
  });

  get current(): BlindAnswer | null {
    return this.#waiting[0] ?? null;
  }

  /** Answers of the sheet that have a verdict. */
  get labelled(): number {
    return (this.sheet?.answers.length ?? 0) - this.#waiting.length;
  }

  get canUndo(): boolean {
    return this.#done.length > 0;
  }

  /** The draw as it stands. */
  async open(): Promise<void> {
    await this.#fetch(null);
  }

  /** Draws answers anew; verdicts that were given stay. */
  async draw(n: number): Promise<void> {
    this.#skipped = [];
    this.#done = [];
    this.result = null;
    await this.#fetch(n);
  }

  async #fetch(fresh: number | null): Promise<void> {
    const before = this.sheet;
    const sheet = await this.#attempts.try('auditSheet', { fresh });
    // a verdict given meanwhile is not in it
    if (sheet && this.sheet !== before) return this.#fetch(null);
    if (sheet) this.sheet = sheet;
  }

  async label(verdict: CoarseKind): Promise<void> {
    const digest = this.current?.digest;
    if (digest === undefined) return;
    this.#done = [...this.#done, digest];
    await this.#set(digest, verdict);
  }

  /** Puts the current answer off until all others are done. */
  skip(): void {
    const digest = this.current?.digest;
    if (digest === undefined) return;
    this.#done = [...this.#done, digest];
    this.#skipped = [...this.#skipped.filter((d) => d !== digest), digest];
  }

  /** Takes the last verdict back, or the last putting off: that answer comes next. */
  async undo(): Promise<void> {
    const digest = this.#done.at(-1);
    if (digest === undefined) return;
    this.#done = this.#done.slice(0, -1);
    this.#skipped = this.#skipped.filter((d) => d !== digest);
    const sheet = this.sheet!;
    // next means first of all that were not put off
    const answers = [...sheet.answers].sort(
      (a, b) => Number(b.digest === digest) - Number(a.digest === digest),
    );
    this.sheet = { ...sheet, answers };
    await this.#set(digest, null);
  }

  async #set(digest: string, verdict: CoarseKind | null): Promise<void> {
    const sheet = this.sheet!;
    const { [digest]: before, ...others } = sheet.labels;
    if (verdict === null && before === undefined) return;
    this.result = null;
    this.sheet = { ...sheet, labels: verdict === null ? others : { ...others, [digest]: verdict } };
    // what could not be kept is not shown as kept
    if (!(await this.#attempts.try('auditLabel', { digest, verdict }))) await this.#fetch(null);
  }

  /** Holds the rules against the person. */
  async finish(): Promise<void> {
    const result = await this.job.run({ done: 0, total: 0 }, (how) =>
      this.#attempts.client.request('auditResult', {}, how),
    );
    if (result) this.result = result;
  }

  /** The verdicts as JSONL; null where they cannot be had. */
  lines(): Promise<string | null> {
    return this.#attempts.try('auditLines', {});
  }
}
