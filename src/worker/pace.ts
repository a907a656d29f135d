/** How fast a run goes, from the moments at which its steps report. Probes and pauses do not count as training time. */
export class Pace {
  #last: number | null = null;
  #stepMs = 0;
  #probeMs = 0;
  tokensPerSecond = 0;

  /** A step has reported. */
  step(tokens: number, now = performance.now()): void {
    if (this.#last !== null) {
      const ms = Math.max(now - this.#last, 0.1);
      this.#stepMs = blend(this.#stepMs, ms);
      this.tokensPerSecond = blend(this.tokensPerSecond, (tokens / ms) * 1000);
    }
    this.#last = now;
  }

  /** Time until the next step is not training time. */
  interrupt(): void {
    this.#last = null;
  }

  probe(ms: number): void {
    this.#probeMs = blend(this.#probeMs, ms);
    this.#last = null;
  }

  secondsLeft(steps: number, probes: number): number {
    return (steps * this.#stepMs + probes * this.#probeMs) / 1000;
  }
}

/** Mean of about the last ten values. */
function blend(mean: number, value: number): number {
  return mean === 0 ? value : mean * 0.9 + value * 0.1;
}
