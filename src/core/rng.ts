import { LabError } from './errors.ts';

/** Four well-mixed 32-bit words from a text (two rounds of murmur3's finaliser over an FNV-like walk). */
function hash128(text: string): [number, number, number, number] {
  let a = 0x9e3779b9;
  let b = 0x243f6a88;
  let c = 0xb7e15162;
  let d = 0xdeadbeef;
  for (let i = 0; i < text.length; i++) {
    const k = text.charCodeAt(i);
    a = b ^ Math.imul(a ^ k, 0x85ebca6b);
    b = c ^ Math.imul(b ^ k, 0xc2b2ae35);
    c = d ^ Math.imul(c ^ k, 0x27d4eb2f);
    d = a ^ Math.imul(d ^ k, 0x165667b1);
  }
  a = mix(a ^ text.length);
  b = mix(b + a);
  c = mix(c + b);
  d = mix(d + c);
  return [mix(a + d), b >>> 0, c >>> 0, d >>> 0];
}

function mix(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

const rotl = (x: number, k: number): number => (x << k) | (x >>> (32 - k));

/**
 * Natural logarithm for 0 < x <= 1 with +, -, *, / only: Math.log may differ in its last bit between engines, and a
 * world or an initialisation must be the same on every machine.
 */
function ln(x: number): number {
  let k = 0;
  while (x < Math.SQRT1_2) {
    x *= 2;
    k++;
  }
  const t = (x - 1) / (x + 1);
  const t2 = t * t;
  let sum = 0;
  for (let n = 23; n >= 1; n -= 2) sum = sum * t2 + 1 / n;
  return 2 * t * sum - k * Math.LN2;
}

/**
 * Seeded random numbers: xoshiro128** (Blackman and Vigna, 2018). The same seed gives the same numbers on every
 * machine; the state is four integers and can be stored. Not for secrets.
 */
export class Rng {
  #s: [number, number, number, number];

  /** A number and the text of its digits are different seeds. */
  constructor(seed: number | string) {
    if (typeof seed === 'number' && !Number.isFinite(seed))
      throw new LabError('bad-input', `A random seed must be a finite number or a text, not ${seed}.`);
    this.#s = hash128(`${typeof seed}:${seed}`);
  }

  static from(state: readonly number[]): Rng {
    const ok =
      state.length === 4 &&
      state.every((x) => Number.isInteger(x) && x >= 0 && x < 2 ** 32) &&
      state.some((x) => x !== 0);
    if (!ok)
      throw new LabError('bad-input', 'A stored random state must be four 32-bit integers, not all zero.');
    const rng = new Rng(0);
    rng.#s = [state[0]!, state[1]!, state[2]!, state[3]!];
    return rng;
  }

  state(): number[] {
    return [...this.#s];
  }

  /** Uniform integer in [0, 2^32). */
  #u32(): number {
    const s = this.#s;
    const result = Math.imul(rotl(Math.imul(s[1], 5), 7), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 11);
    for (let i = 0; i < 4; i++) s[i] = s[i]! >>> 0;
    return result;
  }

  /** Uniform in [0, 1), 53 bits. */
  next(): number {
    const high = this.#u32() >>> 5;
    const low = this.#u32() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }

  /** Uniform integer in [0, n), 1 <= n <= 2^32, without bias. */
  int(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > 2 ** 32)
      throw new LabError('bad-input', `Cannot draw one of ${n} numbers.`);
    const limit = 2 ** 32 - (2 ** 32 % n);
    for (;;) {
      const x = this.#u32();
      if (x < limit) return x % n;
    }
  }

  /** Standard normal (Marsaglia's polar method; the second value of each pair is dropped to keep the state small). */
  normal(): number {
    for (;;) {
      const u = 2 * this.next() - 1;
      const v = 2 * this.next() - 1;
      const r = u * u + v * v;
      if (r > 0 && r < 1) return u * Math.sqrt((-2 * ln(r)) / r);
    }
  }

  pick<T>(xs: readonly T[]): T {
    if (xs.length === 0) throw new LabError('bad-input', 'Cannot pick from an empty list.');
    return xs[this.int(xs.length)]!;
  }

  /** A shuffled copy. */
  shuffle<T>(xs: readonly T[]): T[] {
    return this.sample(xs, xs.length);
  }

  /** `k` different elements in random order. */
  sample<T>(xs: readonly T[], k: number): T[] {
    if (!Number.isInteger(k) || k < 0 || k > xs.length)
      throw new LabError('bad-input', `Cannot draw ${k} different elements out of ${xs.length}.`);
    const out = [...xs];
    for (let i = 0; i < k; i++) {
      const j = i + this.int(out.length - i);
      const x = out[i]!;
      out[i] = out[j]!;
      out[j] = x;
    }
    return out.slice(0, k);
  }

  /**
   * An independent generator named by `label`. It depends on this one's present state and the label, and leaves this
   * one as it is: forks may be taken in any order.
   */
  fork(label: string): Rng {
    return new Rng(`fork:${this.#s.join(',')}:${label}`);
  }
}
