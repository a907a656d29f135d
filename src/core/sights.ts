/** The tokens of an answer as models saw them before they were written, and their short form in files. */
export interface TokenSight {
  text: string;
  /** Probability of this token, and entropy (nats) of the distribution that it came from. */
  p: number;
  entropy: number;
  /** The likeliest tokens, best first. */
  top: { text: string; p: number }[];
  /** Probability of the same token after the same text under other models, in their order; null: unknown there. */
  others: (number | null)[];
}

/** [text, p, entropy, [text, p, text, p, ...], others], numbers to four digits. */
export type PackedSight = [string, number, number, (string | number)[], (number | null)[]];

const short = (x: number): number => Number(x.toPrecision(4));

export function packSight({ text, p, entropy, top, others }: TokenSight): PackedSight {
  return [
    text,
    short(p),
    short(entropy),
    top.flatMap((t) => [t.text, short(t.p)]),
    others.map((x) => (x === null ? null : short(x))),
  ];
}

export function unpackSight([text, p, entropy, top, others]: PackedSight): TokenSight {
  const pairs = Array.from({ length: top.length / 2 }, (_, i) => ({
    text: String(top[2 * i]),
    p: Number(top[2 * i + 1]),
  }));
  return { text, p, entropy, top: pairs, others };
}

/** Where two texts part: the first place at which their tokens differ; null where they are the same. */
export function partsAt(a: readonly (number | string)[], b: readonly (number | string)[]): number | null {
  const most = Math.max(a.length, b.length);
  for (let i = 0; i < most; i++) if (a[i] !== b[i]) return i;
  return null;
}
