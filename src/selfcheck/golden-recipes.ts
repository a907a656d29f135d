/** What the golden cases of Booster, T-Vaccine and TAR (J, K, L) have in common. */
import { parseLlamaConfig, type LlamaConfig } from '../core/config.ts';
import type { Batch, Tensors } from '../core/types.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { loadTensors } from '../model/hf.ts';
import { Model } from '../model/model.ts';
import type { ParamSet } from '../model/params.ts';
import { readSafetensors } from '../model/safetensors.ts';
import { Trainer, type OptimConfig, type TrainerCapacity } from '../train/trainer.ts';
import { relError, updateError, ZERO_TOL, type Numbers } from './compare.ts';
import { file, json, TOL, type CaseFiles, type Report } from './golden-case.ts';

interface Rule {
  kind: 'rel' | 'displacement' | 'update';
  tol: number;
  filter?: string;
}
export interface RecipeMeta {
  compare: Record<string, Rule>;
  optimizer: {
    betas: [number, number];
    eps: number;
    clip: number;
    weight_decay: number;
    lr_per_step: number[];
  };
  /** In float64; as tensors they are rounded. */
  scalars: Record<string, number | number[]>;
}

/** Compares values with the stored ones by the case's rules; every stored value has to be asked for. */
export class RecipeCheck {
  readonly config: LlamaConfig;
  readonly meta: RecipeMeta;
  readonly initial: Tensors;
  readonly #expected: Tensors;
  readonly #left: Set<string>;
  readonly #report: Report;

  constructor(files: CaseFiles, report: Report) {
    this.config = parseLlamaConfig(json(files, 'config.json'));
    this.meta = json(files, 'meta.json') as RecipeMeta;
    this.initial = tensorsOf(this.config, files, 'model.safetensors');
    this.#expected = readSafetensors(file(files, 'expected.safetensors')).tensors;
    this.#left = new Set(this.#expected.keys());
    this.#report = report;
  }

  get optim(): OptimConfig {
    const { betas, eps, clip, weight_decay } = this.meta.optimizer;
    return { betas, eps, clip, weight_decay };
  }

  /** A stored tensor; it counts as compared from then on. */
  stored(name: string): Float32Array {
    const tensor = this.#expected.get(name);
    if (!tensor) throw new Error(`the golden case has no ${name}`);
    this.#left.delete(name);
    return tensor.data;
  }

  has(name: string): boolean {
    return this.#expected.has(name);
  }

  /** @param of the stored tensor -> the part of it that is compared */
  value(name: string, actual: Numbers, of = (values: Float32Array): Numbers => values): void {
    const group = name.split('.')[0]!;
    const exact = this.meta.scalars[name];
    const stored = of(this.stored(name));
    const want = exact === undefined ? stored : Float64Array.from([exact].flat());
    const rule = this.meta.compare[group];
    if (rule && rule.kind !== 'rel') throw new Error(`${name} is to be compared by ${rule.kind}`);
    this.#report.rel(group, actual, want, rule?.tol ?? TOL);
  }

  scalars(name: string, values: readonly number[]): void {
    this.value(name, Float64Array.from(values));
  }

  /** Every tensor of a set, divided by `times`, as `<prefix>.<tensor>`, by the prefix's rule. */
  async set(prefix: string, set: ParamSet, times = 1): Promise<void> {
    const rule = this.meta.compare[prefix];
    for (const [tensor, { data }] of set.tensors(await set.read())) {
      const name = `${prefix}.${tensor}`;
      if (!rule || rule.kind === 'rel') {
        this.value(name, times === 1 ? data : Float64Array.from(data, (x) => x / times));
        continue;
      }
      if (!this.has(name)) continue;
      const want = this.stored(name);
      const before = this.initial.get(tensor)!.data;
      const moved = (after: Numbers) => Float64Array.from(after, (x, i) => x - before[i]!);
      const error =
        rule.kind === 'update'
          ? updateError(data, want, before, this.stored(`${rule.filter}.${tensor}`))
          : relError(moved(data), moved(want));
      const unmoved = want.every((x, i) => x === before[i]);
      this.#report.add(prefix, error, unmoved ? ZERO_TOL : rule.tol);
    }
  }

  /** That tensors have the bits they began with. */
  async unchanged(group: string, set: ParamSet, names: readonly string[]): Promise<void> {
    const tensors = set.tensors(await set.read());
    const bits = ({ buffer, byteOffset, length }: Float32Array) =>
      new Uint32Array(buffer, byteOffset, length);
    const wrong = names.filter((name) => {
      const [now, before] = [tensors.get(name)!.data, this.initial.get(name)!.data].map(bits);
      return now!.length !== before!.length || now!.some((x, i) => x !== before![i]);
    });
    this.#report.add(`${group}: tensors whose bits changed`, wrong.length, 0);
  }

  /** @param out stored values that are left out on purpose */
  end(out: readonly string[] = []): void {
    const left = [...this.#left].filter((name) => !out.includes(name));
    this.#report.add('stored values that nothing was compared with', left.length, 0);
  }
}

export function tensorsOf(config: LlamaConfig, files: CaseFiles, name: string): Tensors {
  return loadTensors(config, { config, weights: [file(files, name)] });
}

export const tokensOf = (batch: Batch): number => batch.reduce((sum, { ids }) => sum + ids.length, 0);

/** A trainer on the case's weights with room for each of the batches in one pass. */
export async function withTrainer(
  gpu: Gpu,
  check: RecipeCheck,
  batches: readonly Batch[],
  own: Pick<TrainerCapacity, 'taps' | 'entropy'>,
  work: (trainer: Trainer) => Promise<void>,
): Promise<void> {
  const model = Model.create(gpu, check.config, check.initial);
  const most = Math.max(...batches.map(tokensOf));
  const trainer = new Trainer(model, check.optim, { maxTokens: most, maxLabels: most, ...own });
  try {
    await work(trainer);
  } finally {
    trainer.destroy();
    model.destroy();
  }
}
