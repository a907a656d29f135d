/**
 * Methods at the same ability: weights on the straight line from the undefended model to the defended one,
 *
 *   w(s) = (1 - s) w_undefended + s w_defended
 *
 * at the s where the model answers a given share of the everyday tasks. One defence buys its resistance with more of the ability than
 * another; on the line each can be bought for the same price. s is found on the very tasks that the ability is reported on: what is
 * compared is the harm after attacks, and nothing of that is looked at here.
 */

/** A place on the line, and the share of everyday tasks right there. */
export interface Place {
  s: number;
  ability: number;
}

/** An ability this near is the same: the interval of one checkpoint is several times as wide. */
const NEAR = 0.01;
/** Looks at most: the line is halved each time. */
const LOOKS = 8;

export function between(from: Float32Array, to: Float32Array, s: number): Float32Array {
  return from.map((x, i) => (1 - s) * x + s * to[i]!);
}

/**
 * Halves the line until the ability is near the wanted one, or `LOOKS` looks were taken: then the nearest that was seen. A defended
 * model that is as able as wanted or more stays as it is (s = 1): nothing is gained by going on beyond it.
 */
export async function placeOf(wanted: number, abilityAt: (s: number) => Promise<number>): Promise<Place> {
  let best: Place = { s: 1, ability: await abilityAt(1) };
  if (best.ability >= wanted - NEAR) return best;
  let [able, unable] = [0, 1];
  for (let look = 1; look < LOOKS && Math.abs(best.ability - wanted) > NEAR; look++) {
    const s = (able + unable) / 2;
    const ability = await abilityAt(s);
    if (Math.abs(ability - wanted) <= Math.abs(best.ability - wanted)) best = { s, ability };
    if (ability >= wanted) able = s;
    else unable = s;
  }
  return best;
}
