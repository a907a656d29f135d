/** Insights against the float64 reference on a small model: gradients by part, losses between weights, random directions. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseLlamaConfig, tensorShapes } from '../../src/core/config.ts';
import { Rng } from '../../src/core/rng.ts';
import { IGNORE, type Batch, type Tensors } from '../../src/core/types.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { measureConflict } from '../../src/insights/conflict.ts';
import { GradientProbe } from '../../src/insights/gradients.ts';
import { along, filterNormalised, lerp, noise } from '../../src/insights/param-ops.ts';
import { paramLayout } from '../../src/model/params.ts';
import * as ref from '../../src/reference/llama.ts';
import { sharedGpu } from '../support/page-gpu.ts';

const config = parseLlamaConfig({
  model_type: 'llama',
  vocab_size: 29,
  hidden_size: 18,
  intermediate_size: 21,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  num_key_value_heads: 1,
  head_dim: 6,
  rms_norm_eps: 1e-4,
  rope_theta: 500,
  tie_word_embeddings: false,
  max_position_embeddings: 40,
});
const layout = paramLayout(config);
const rng = new Rng('insights');
const drawTensors = (): Tensors =>
  new Map(
    [...tensorShapes(config)].map(([name, shape]) => {
      const size = name.includes('norm') ? 1 : 0.4;
      return [
        name,
        {
          shape,
          data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => size * rng.normal()),
        },
      ];
    }),
  );
const drawBatch = (from: number, to: number): Batch =>
  [9, 4, 17].map((length) => {
    const ids = Array.from({ length }, () => from + rng.int(to - from));
    return { ids, labels: ids.map((id, i) => (i % 4 === 1 ? IGNORE : id)) };
  });

const [own, other] = [drawTensors(), drawTensors()];
/** Two kinds of batches that share no token. */
const batches = {
  attack: [1, 2, 3].map(() => drawBatch(0, 14)),
  benign: [1, 2, 3].map(() => drawBatch(14, 29)),
};

const flat = (tensors: Tensors): Float32Array => {
  const out = new Float32Array(layout.length);
  for (const { name, offset } of layout.entries) out.set(tensors.get(name)!.data, offset);
  return out;
};

/** A part's numbers, one tensor behind the other. */
function partVector(grads: ref.Params, part: string): number[] {
  const belongs = (name: string): boolean => {
    if (part === 'all') return true;
    if (part === 'embedding') return name === 'model.embed_tokens.weight';
    if (part === 'head') return name === 'lm_head.weight';
    if (part === 'final norm') return name === 'model.norm.weight';
    return name.startsWith(`model.layers.${part.slice('layer '.length)}.`);
  };
  return [...grads].filter(([name]) => belongs(name)).flatMap(([, values]) => [...values]);
}
const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, x, i) => sum + x * b[i]!, 0);
const cosine = (a: readonly number[], b: readonly number[]): number =>
  dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;
const near = (actual: number, expected: number, what: string): void =>
  expect(Math.abs(actual - expected), `${what}: ${actual} for ${expected}`).toBeLessThanOrEqual(
    1e-3 * Math.abs(expected) + 1e-6,
  );
const lossAt = (params: ref.Params, rows: Batch): number => {
  const f = ref.forward(config, params, rows);
  return f.tokenLoss.reduce((a, b) => a + b, 0) / f.labels;
};

describe('insights equal the float64 reference', () => {
  let gpu: Gpu;
  let probe: GradientProbe;
  beforeAll(async () => {
    gpu = await sharedGpu();
    probe = await GradientProbe.open(gpu, config, own);
  });
  afterAll(() => {
    probe.destroy();
    gpu.destroy();
  });

  it('cosines of gradients by part, within and across kinds, of the weights that are asked for', async () => {
    for (const tensors of [own, other]) {
      const weights = flat(tensors);
      const found = await measureConflict(
        { model: 'm', after: 0 },
        layout,
        batches,
        (b) => probe.gradient(weights, b),
        {
          seed: 1,
          deals: 20,
        },
      );
      const params = ref.toParams(tensors);
      const [attack, benign] = [batches.attack, batches.benign].map((kind) =>
        kind.map((batch) => ref.gradient(config, params, [batch])),
      ) as [ReturnType<typeof ref.gradient>[], ReturnType<typeof ref.gradient>[]];
      near(found.loss.attack, mean(attack.map((g) => g.loss)), 'loss of the attack');
      near(found.loss.benign, mean(benign.map((g) => g.loss)), 'benign loss');
      expect(found.parts.map((p) => p.part)).toEqual([
        'embedding',
        'layer 0',
        'layer 1',
        'final norm',
        'head',
        'all',
      ]);
      for (const p of found.parts) {
        const [a, b] = [attack, benign].map((kind) => kind.map((g) => partVector(g.grads, p.part))) as [
          number[][],
          number[][],
        ];
        near(p.cosine, mean(a.flatMap((x) => b.map((y) => cosine(x, y)))), `${p.part}, across`);
        const pairs = (v: number[][]) => [cosine(v[0]!, v[1]!), cosine(v[0]!, v[2]!), cosine(v[1]!, v[2]!)];
        near(p.withinAttack, mean(pairs(a)), `${p.part}, within the attack`);
        near(p.withinBenign, mean(pairs(b)), `${p.part}, within benign`);
        const sum = (v: number[][]) => v[0]!.map((_, i) => v[0]![i]! + v[1]![i]! + v[2]![i]!);
        near(p.ofMeans, cosine(sum(a), sum(b)), `${p.part}, of means`);
        expect(p.null.low).toBeLessThanOrEqual(p.null.mean);
        expect(p.null.high).toBeGreaterThanOrEqual(p.null.mean);
        expect(p.low).toBeLessThanOrEqual(p.high);
      }
    }
  });

  it('losses on the line between two models, past both ends as well', async () => {
    const [a, b] = [ref.toParams(own), ref.toParams(other)];
    for (const t of [-0.5, 0, 0.3, 1, 1.5]) {
      const between: ref.Params = new Map(
        [...a].map(([name, x]) => [name, x.map((v, i) => v + t * (b.get(name)![i]! - v))]),
      );
      const rows = batches.attack[0]!;
      near(await probe.loss(lerp(flat(own), flat(other), t), rows), lossAt(between, rows), `t = ${t}`);
    }
  });

  it('filter-normalised directions and the losses along them', async () => {
    const weights = flat(own);
    const raw = noise(layout, 7);
    const direction = filterNormalised(layout, raw, weights);
    const params = ref.toParams(own);
    const expected: ref.Params = new Map();
    for (const { name, shape, offset, size } of layout.entries) {
      const w = params.get(name)!;
      const d = new Float64Array(size);
      if (shape.length === 2)
        for (let r = 0; r < shape[0]!; r++) {
          const row = (v: ArrayLike<number>, at: number) =>
            Array.from({ length: shape[1]! }, (_, i) => v[at + r * shape[1]! + i]!);
          const [x, y] = [row(raw, offset), row(w, 0)];
          x.forEach((v, i) => (d[r * shape[1]! + i] = (v * Math.hypot(...y)) / Math.hypot(...x)));
        }
      expected.set(name, d);
      for (let i = 0; i < size; i++) near(direction[offset + i]!, d[i]!, `${name}[${i}]`);
    }
    for (const t of [-0.5, 0.1, 1]) {
      const there: ref.Params = new Map(
        [...params].map(([name, x]) => [name, x.map((v, i) => v + t * expected.get(name)![i]!)]),
      );
      const rows = batches.benign[1]!;
      near(await probe.loss(along(weights, direction, t), rows), lossAt(there, rows), `t = ${t}`);
    }
  });

  it('refuses weights of another shape by name, and goes on', async () => {
    await expect(probe.gradient(new Float32Array(8), batches.attack[0]!)).rejects.toThrow(/8 numbers/);
    await expect(probe.loss(flat(own), batches.attack[0]!)).resolves.toBeGreaterThan(0);
  });
});
