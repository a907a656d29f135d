/** One line of progress in a terminal: rewritten in place on a TTY, printed now and then into a log. */
export class Progress {
  #label: string;
  #total: number;
  #start = performance.now();
  #startAt: number;
  #last = 0;
  // scripts/run.mjs passes stderr through a pipe and says by FORCE_COLOR that a terminal is at its end.
  #tty = process.stderr.isTTY === true || (process.env.FORCE_COLOR ?? '0') !== '0';

  /** @param startAt units already done before this process began, so that the time left counts only our own speed. */
  constructor(label: string, total: number, startAt = 0) {
    this.#label = label;
    this.#total = total;
    this.#startAt = startAt;
  }

  /** Show `done` of the total; `note` is free text (loss, tokens/s). Cheap to call every step. */
  update(done: number, note = ''): void {
    const now = performance.now();
    const finished = done >= this.#total;
    if (!finished && now - this.#last < (this.#tty ? 250 : 20_000)) return;
    this.#last = now;
    const seconds = (now - this.#start) / 1000;
    const ours = done - this.#startAt;
    const left = ours > 0 ? (seconds / ours) * (this.#total - done) : Number.NaN;
    const width = 24;
    const filled = Math.round((done / this.#total) * width);
    const bar = '#'.repeat(filled) + '.'.repeat(width - filled);
    const line = `${this.#label} [${bar}] ${done}/${this.#total} ${note} ${duration(left)} left`;
    process.stderr.write(this.#tty ? `\r\x1b[2K${line}` : `${line}\n`);
  }

  /** Leave the bar and print one closing line with the time this process took. */
  done(note = ''): void {
    const text = `${this.#label} ${note} in ${duration((performance.now() - this.#start) / 1000)}`;
    process.stderr.write(this.#tty ? `\r\x1b[2K${text}\n` : `${text}\n`);
  }
}

/** Seconds as `1 h 02 min`, `3 min 20 s` or `12 s`; `?` when not known. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const s = Math.round(seconds);
  if (s >= 3600)
    return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, '0')} min`;
  if (s >= 60) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, '0')} s`;
  return `${s} s`;
}
