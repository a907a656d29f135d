/**
 * Noise, a control of SDD: one random update that is as long as SDD's in every layer,
 *
 *   W_l += r_l ||W_l|| d_l / ||d_l||,   d_l standard normal
 *
 * with r_l = ||W_l after SDD - W_l|| / ||W_l||. They were measured on SDD runs with its defaults from the embedded chat model, by
 * `npm run noise`, which writes noise-norms.json; where SDD trains an adapter they are those of the merged weights, and the noise
 * is an adapter as well, B_l A_l of that length. On a model of other depth, and on a file's task, nothing was measured: there
 * `relative` is set by hand, the same for all layers.
 */
import { LabError } from '../core/errors.ts';
import { Rng } from '../core/rng.ts';
import { anchors } from '../data/defence-sets.ts';
import { partOf } from '../eval/measures/drift.ts';
import { LORA_TARGETS, loraName } from '../model/lora.ts';
import type { Model } from '../model/model.ts';
import type { ParamEntry } from '../model/params.ts';
import norms from './noise-norms.json';
import type { Recipe } from './recipe.ts';
import { constant, num } from './recipe.ts';
import { TINY_OPTIM } from './tiny.ts';

/** Relative length of the update by part of the model, see `partOf`; a part without one stays as it is. */
export type Lengths = Readonly<Record<string, number>>;

/** Chats whose mean loss is reported: that of the model before the noise. */
const CHATS = 16;

const lengthOf = (values: Float32Array, entries: readonly ParamEntry[]): number =>
  Math.sqrt(
    entries.reduce((sum, { offset, size }) => {
      for (let i = offset; i < offset + size; i++) sum += values[i]! ** 2;
      return sum;
    }, 0),
  );

function byPart(entries: readonly ParamEntry[]): Map<string, ParamEntry[]> {
  const parts = new Map<string, ParamEntry[]>();
  for (const entry of entries)
    parts.set(partOf(entry.name), [...(parts.get(partOf(entry.name)) ?? []), entry]);
  return parts;
}

/** The weights with noise of the given relative length in every part. Flat, as ParamSet.read gives them. */
export function withNoise(
  weights: Float32Array,
  entries: readonly ParamEntry[],
  lengths: Lengths,
  rng: Rng,
): Float32Array {
  const out = weights.slice();
  for (const [part, own] of byPart(entries)) {
    const drawn = own.map(({ size }) => Float64Array.from({ length: size }, () => rng.normal()));
    const length = Math.sqrt(drawn.reduce((sum, d) => d.reduce((s, x) => s + x * x, sum), 0));
    const by = ((lengths[part] ?? 0) * lengthOf(weights, own)) / length;
    own.forEach(({ offset }, k) => drawn[k]!.forEach((x, i) => (out[offset + i]! += by * x)));
  }
  return out;
}

/** ||B A|| of B [out, r] and A [r, in], by the traces of their r x r products. */
export function productNorm(B: Float32Array, A: Float32Array, r: number): number {
  const [out, width] = [B.length / r, A.length / r];
  let sum = 0;
  for (let i = 0; i < r; i++)
    for (let j = 0; j < r; j++) {
      let [b, a] = [0, 0];
      for (let o = 0; o < out; o++) b += B[o * r + i]! * B[o * r + j]!;
      for (let w = 0; w < width; w++) a += A[i * width + w]! * A[j * width + w]!;
      sum += b * a;
    }
  return Math.sqrt(sum);
}

/** An adapter whose A is as it is and whose B is noise, so that its change of every layer has the given relative length. */
async function adapterNoise(model: Model, lengths: Lengths, rng: Rng): Promise<Float32Array> {
  const adapter = model.adapters.at(-1)!;
  const { params, config: lora } = adapter;
  const flat = await params.read();
  const at = (name: string): Float32Array => {
    const { offset, size } = params.entry(name);
    return flat.subarray(offset, offset + size);
  };
  for (let l = 0; l < model.config.num_hidden_layers; l++) {
    let own = 0;
    for (const { name } of model.weights.layout.entries) {
      if (partOf(name) !== `layer ${l}`) continue;
      for await (const { values } of model.readValues(name)) own += values.reduce((sum, x) => sum + x * x, 0);
    }
    let change = 0;
    const targets = lora.targets.map((target) => {
      const B = at(loraName(l, target, 'B'));
      for (let i = 0; i < B.length; i++) B[i] = rng.normal();
      change += (adapter.scaling * productNorm(B, at(loraName(l, target, 'A')), lora.r)) ** 2;
      return B;
    });
    const by = ((lengths[`layer ${l}`] ?? 0) * Math.sqrt(own)) / Math.sqrt(change);
    for (const B of targets) for (let i = 0; i < B.length; i++) B[i]! *= by;
  }
  return flat;
}

/** @param even the same length for every part; 0: as measured on SDD */
function lengthsFor(model: Model, even: number): Lengths {
  const parts = [...byPart(model.weights.layout.entries).keys()];
  if (even > 0) return Object.fromEntries(parts.map((part) => [part, even]));
  return model.adapters.length > 0 ? norms.lora : norms.full;
}

/** Layers of the model that the lengths were measured on. */
const MEASURED = Object.keys(norms.full).filter((part) => part.startsWith('layer ')).length;

function notMeasured(on: string): LabError {
  return new LabError('bad-input', `How long SDD's update is was measured on ${on} only.`, {
    safe: 'Nothing was started.',
    next: 'Set "relative" to the share of its own length that every layer is to move by, as 0.1.',
  });
}

export const noise: Recipe = {
  id: 'noise',
  title: 'Control: noise',
  kind: 'defence',
  source: 'control of this lab',
  continuable: false,
  settings: [
    { key: 'relative', type: 'number', default: 0, min: 0, max: 10, main: true },
    { key: 'steps', type: 'number', default: 1, min: 1, max: 1, step: 1, main: false },
    { key: 'method', type: 'choice', default: 'full', choices: ['full', 'lora'], main: false },
    { key: 'rank', type: 'number', default: 8, min: 1, max: 64, step: 1, main: false, loraOnly: true },
    { key: 'alpha', type: 'number', default: 64, min: 0.1, max: 512, main: false, loraOnly: true },
  ],
  plan: (s) => ({
    lr: 0,
    steps: 1,
    batch: CHATS,
    schedule: constant(),
    optim: TINY_OPTIM,
    ...(s.method === 'lora' && {
      lora: { r: num(s, 'rank'), alpha: num(s, 'alpha'), targets: LORA_TARGETS },
    }),
  }),
  data: (task, s, seed) => {
    if (task.kind !== 'tiny' && num(s, 'relative') === 0) throw notMeasured('the invented world');
    return anchors(task, seed, CHATS);
  },
  suits: (s, { num_hidden_layers: layers }) => {
    if (num(s, 'relative') === 0 && layers !== MEASURED) throw notMeasured(`a model of ${MEASURED} layers`);
  },
  step: {
    open: (trainer, s) => {
      const lengths = lengthsFor(trainer.model, num(s, 'relative'));
      return Promise.resolve({
        step: async ({ trainer, next, rng }) => {
          // a rate of 0 moves nothing: this reports the loss, and stops where it is not finite
          await trainer.step([next()], 0);
          await trainer.flush();
          const { model } = trainer;
          const noisy =
            model.adapters.length > 0
              ? await adapterNoise(model, lengths, rng)
              : withNoise(await model.trained.read(), model.trained.layout.entries, lengths, rng);
          model.trained.write(noisy);
        },
        close: () => {},
      });
    },
  },
};
