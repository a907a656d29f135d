/** What navigator.locks does for the lab, for Node versions without it: exclusive locks of one origin. */
export class Locks {
  #held = new Set<string>();

  async request(
    name: string,
    _options: { ifAvailable: true },
    use: (lock: { name: string } | null) => unknown,
  ): Promise<unknown> {
    if (this.#held.has(name)) return use(null);
    this.#held.add(name);
    try {
      return await use({ name });
    } finally {
      this.#held.delete(name);
    }
  }

  query(): Promise<{ held: { name: string }[] }> {
    return Promise.resolve({ held: [...this.#held].map((name) => ({ name })) });
  }
}
