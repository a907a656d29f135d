import { parseLlamaConfig, type LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import { lrAt } from '../core/schedule.ts';
import type { Batch, Tensors } from '../core/types.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { Generator } from '../model/generate.ts';
import { loadTensors } from '../model/hf.ts';
import { Model } from '../model/model.ts';
import { readSafetensors } from '../model/safetensors.ts';
import { Trainer, type StepStats } from '../train/trainer.ts';
import {
  relError,
  trimRows,
  unpad,
  updateError,
  ZERO_TOL,
  type Numbers,
  type PaddedBatch,
} from './compare.ts';

/** Largest error of a group of tensors against its tolerance. */
export interface GoldenGroup {
  group: string;
  error: number;
  tolerance: number;
  ok: boolean;
}

export interface GoldenResult {
  name: string;
  /** Null when supported; otherwise the kind of case that this engine does not know. */
  unsupported: string | null;
  groups: GoldenGroup[];
  ok: boolean;
}

/** Content of a golden case's folder by file name. */
export type CaseFiles = Record<string, ArrayBuffer>;

interface Meta {
  optimizer?: {
    lr: number;
    betas: [number, number];
    eps: number;
    clip: number;
    weight_decay: number;
    total_steps: number;
    warmup_steps: number;
    lr_per_step: number[];
  };
  ill_conditioned: Record<string, { suggested_tol: number }>;
  perturbation_variants?: Record<string, { attn: number[]; hidden: number[] }>;
}

interface Continuation {
  prompt_ids: number[];
  continuation_ids?: number[];
  top5_ids?: number[][];
  top5_logprobs?: number[][];
  long_continuation_ids?: number[];
}

/** Tolerances of the golden cases: relative L2, of updates, and absolute of log-probabilities. */
const TOL = 1e-4;
const UPDATE_TOL = 2e-3;
const LOGPROB_TOL = 1e-4;

/** Keeps the worst error of every group. */
class Report {
  readonly groups = new Map<string, GoldenGroup>();

  add(group: string, error: number, tolerance: number): void {
    const before = this.groups.get(group);
    // NaN is the worst error there is, and no comparison with it is true.
    if (before && !(Number.isNaN(error) || error / tolerance > before.error / before.tolerance)) return;
    this.groups.set(group, { group, error, tolerance, ok: error <= tolerance });
  }

  rel(group: string, actual: Numbers, expected: Numbers, tolerance = TOL): void {
    const zero = expected.every((x) => x === 0);
    this.add(group, relError(actual, expected), zero ? ZERO_TOL : tolerance);
  }
}

/**
 * Runs a golden case on the engine and compares every stored tensor. Kinds that the engine cannot run yet are named
 * in `unsupported`. Throws LabError('bad-input') when a file of the case is missing.
 */
export async function runGoldenCase(gpu: Gpu, name: string, files: CaseFiles): Promise<GoldenResult> {
  const unsupported = unsupportedKind(files);
  if (unsupported !== null) return { name, unsupported, groups: [], ok: false };
  const report = new Report();
  const config = parseLlamaConfig(json(files, 'config.json'));
  const model = Model.create(gpu, config, loadCase(config, files));
  try {
    // before the training steps: the continuation is that of the stored weights
    if (files['generation.json']) await runGeneration(model, files, report);
    await runBatches(model, files, report);
  } finally {
    model.destroy();
  }
  const groups = [...report.groups.values()];
  return { name, unsupported: null, groups, ok: groups.length > 0 && groups.every((g) => g.ok) };
}

/** Kind of case that is not supported, in words; null for a plain model with batches. */
export function unsupportedKind(files: CaseFiles): string | null {
  if (files['adapter_model.safetensors']) return 'LoRA adapters';
  if (files['eval.json']) return 'evaluation metrics';
  if (files['examples.json']) return 'deep alignment';
  if (files['direction_raw.safetensors']) return 'operations on parameter sets';
  const batch = json(files, 'batch.json') as Record<string, unknown>;
  if (batch.chosen) return 'preference objectives (SimPO, DPO, KL)';
  if (batch.f) return 'Booster';
  if (batch.alignment) return 'Vaccine and T-Vaccine';
  if (batch.inner) return 'TAR';
  if (batch.input_ids || batch.micro_batches) return null;
  return `an unknown kind (batch.json has ${Object.keys(batch).join(', ')})`;
}

function file(files: CaseFiles, name: string): Uint8Array {
  const bytes = files[name];
  if (!bytes) throw new LabError('bad-input', `The golden case lacks ${name}.`);
  return new Uint8Array(bytes);
}

function json(files: CaseFiles, name: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(file(files, name)));
  } catch (cause) {
    if (cause instanceof LabError) throw cause;
    throw new LabError('bad-input', `${name} of the golden case is not JSON.`, { cause });
  }
}

function loadCase(config: LlamaConfig, files: CaseFiles): Tensors {
  const indexName = 'model.safetensors.index.json';
  if (!files[indexName]) return loadTensors(config, { config, weights: [file(files, 'model.safetensors')] });
  const index = json(files, indexName) as { weight_map: Record<string, string> };
  const shards = [...new Set(Object.values(index.weight_map))];
  return loadTensors(config, { config, weights: shards.map((shard) => file(files, shard)), index });
}

async function runBatches(model: Model, files: CaseFiles, report: Report): Promise<void> {
  const meta = json(files, 'meta.json') as Meta;
  const expected = readSafetensors(file(files, 'expected.safetensors')).tensors;
  const stored = json(files, 'batch.json') as PaddedBatch | { micro_batches: PaddedBatch[] };
  const padded = 'micro_batches' in stored ? stored.micro_batches : [stored];
  const micro = padded.map(trimRows);
  const tokens = Math.max(...micro.map((batch) => batch.reduce((sum, row) => sum + row.ids.length, 0)));
  const { betas, eps, clip, weight_decay } = meta.optimizer ?? {
    betas: [0.9, 0.999],
    eps: 1e-8,
    clip: 0,
    weight_decay: 0,
  };
  const trainer = new Trainer(
    model,
    { betas: [betas[0]!, betas[1]!], eps, clip, weight_decay },
    { maxTokens: tokens, maxLabels: tokens, taps: meta.perturbation_variants !== undefined },
  );
  try {
    const want = (name: string): Float32Array => {
      const tensor = expected.get(name);
      if (!tensor) throw new LabError('bad-input', `expected.safetensors of the golden case lacks ${name}.`);
      return tensor.data;
    };
    if (expected.has('logits') || expected.has('logits.0'))
      await checkForward(trainer, padded, micro, want, report);
    const { loss, gradNorm } = await trainer.gradient(micro);
    report.rel('loss', Float64Array.of(loss), want('loss'));
    if (expected.has('grad_norm')) {
      report.rel('grad_norm', Float64Array.of(gradNorm), want('grad_norm'));
      const grads = trainer.grads.tensors(await trainer.grads.read());
      for (const [name, { data }] of grads) {
        const tensor = `grad.${name}`;
        const tolerance = meta.ill_conditioned[tensor]?.suggested_tol;
        report.rel(tolerance === undefined ? 'gradients' : tensor, data, want(tensor), tolerance);
      }
    }
    if (meta.perturbation_variants) await checkTaps(trainer, padded[0]!, files, meta, want, report);
    if (meta.optimizer && expected.has('step_losses')) await checkSteps(trainer, micro, meta, want, report);
  } finally {
    trainer.destroy();
  }
}

type Want = (name: string) => Float32Array;

async function checkForward(
  trainer: Trainer,
  padded: PaddedBatch[],
  micro: Batch[],
  want: Want,
  report: Report,
): Promise<void> {
  const vocab = trainer.model.config.vocab_size;
  for (const [i, batch] of micro.entries()) {
    const suffix = micro.length > 1 ? `.${i}` : '';
    const logits = join(await trainer.logits(batch));
    report.rel('logits', logits, unpad(want(`logits${suffix}`), padded[i]!, vocab));
    const { tokenLoss } = await trainer.evaluate(batch);
    report.rel('token_loss', join(tokenLoss), unpad(want(`token_loss${suffix}`), padded[i]!, 1));
  }
}

function join(rows: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(rows.reduce((sum, row) => sum + row.length, 0));
  let at = 0;
  for (const row of rows) {
    out.set(row, at);
    at += row.length;
  }
  return out;
}

async function checkSteps(
  trainer: Trainer,
  micro: Batch[],
  meta: Meta,
  want: Want,
  report: Report,
): Promise<void> {
  const o = meta.optimizer!;
  const schedule = { warmup: o.warmup_steps, hold: 0, decay: 'cosine', floor: 0 } as const;
  const initial = await trainer.model.readTensors();
  const stats: StepStats[] = [];
  trainer.onStats = (s) => stats.push(s);
  const steps = o.lr_per_step.length;
  for (let step = 1; step <= steps; step++) {
    await trainer.step(micro, lrAt(schedule, o.lr, step - 1, o.total_steps));
    if (step !== 1 && step !== steps) continue;
    await trainer.flush();
    for (const [name, { data }] of await trainer.model.readTensors()) {
      const grad = want(`grad.${name}`);
      const expected = want(`step${step}.${name}`);
      const before = initial.get(name)!.data;
      const unmoved = expected.every((x, i) => x === before[i]);
      const error = updateError(data, expected, before, grad);
      const tolerance = unmoved
        ? ZERO_TOL
        : (meta.ill_conditioned[`step${step}.${name}`]?.suggested_tol ?? UPDATE_TOL);
      report.add(`updates after step ${step}`, error, tolerance);
    }
  }
  report.rel(
    'step_losses',
    Float64Array.from(stats, (s) => s.loss),
    want('step_losses'),
  );
  report.rel(
    'step_grad_norms',
    Float64Array.from(stats, (s) => s.gradNorm),
    want('step_grad_norms'),
  );
  report.rel('final_loss', Float64Array.of((await trainer.gradient(micro)).loss), want('final_loss'));
}

async function checkTaps(
  trainer: Trainer,
  padded: PaddedBatch,
  files: CaseFiles,
  meta: Meta,
  want: Want,
  report: Report,
): Promise<void> {
  const { hidden_size: h, num_hidden_layers: layers } = trainer.model.config;
  const batch = trimRows(padded);
  const tokens = batch.reduce((sum, row) => sum + row.ids.length, 0);
  const sites = ['attn', 'hidden'] as const;
  await trainer.gradient([batch]);
  for (const site of sites)
    for (let l = 0; l < layers; l++)
      for (const what of ['out', 'grad'] as const) {
        const expected = what === 'out' ? `${site}_out.${l}` : `grad_${site}.${l}`;
        const actual = await trainer.readTap(site, what, l, tokens);
        report.rel(`taps: ${expected.replace(/\..*/, '')}`, actual, unpad(want(expected), padded, h));
      }
  const added = readSafetensors(file(files, 'perturbation.safetensors')).tensors;
  for (const [variant, chosen] of Object.entries(meta.perturbation_variants!)) {
    for (const site of sites)
      for (const l of chosen[site])
        trainer.writeTap(site, 'pert', l, unpad(added.get(`${site}.${l}`)!.data, padded, h));
    const { loss } = await trainer.gradient([batch]);
    report.rel('taps: loss with perturbations', Float64Array.of(loss), want(`loss_pert_${variant}`));
    for (const site of sites) for (const l of chosen[site]) trainer.writeTap(site, 'pert', l);
  }
}

async function runGeneration(model: Model, files: CaseFiles, report: Report): Promise<void> {
  const stored = json(files, 'generation.json') as Continuation | { cases: Continuation[] };
  const cases = 'cases' in stored ? stored.cases : [stored];
  const length = (c: Continuation): number => (c.continuation_ids ?? c.long_continuation_ids ?? []).length;
  const maxLen = Math.max(...cases.map((c) => c.prompt_ids.length + length(c)));
  const generator = new Generator(model, { maxSeqs: cases.length, maxLen });
  try {
    // The whole case as one batch: rows of different length finish at different steps, none may disturb another.
    const out = await generator.generate(
      cases.map((c) => c.prompt_ids),
      { maxNewTokens: Math.max(...cases.map(length)), eos: -1, temperature: 0, topAlternatives: 5 },
    );
    cases.forEach((c, r) => {
      const expected = c.continuation_ids ?? c.long_continuation_ids ?? [];
      const row = out[r]!.slice(0, expected.length);
      const wrong = expected.filter((id, i) => row[i]?.id !== id).length;
      report.add('greedy text: wrong tokens', wrong, 0);
      if (wrong === 0 && c.top5_ids && c.top5_logprobs) checkTop5(row, c.top5_ids, c.top5_logprobs, report);
    });
  } finally {
    generator.destroy();
  }
}

function checkTop5(
  row: readonly { logprob: number; top: readonly { id: number; logprob: number }[] }[],
  ids: number[][],
  logprobs: number[][],
  report: Report,
): void {
  let wrong = 0;
  row.forEach(({ logprob, top }, i) => {
    const expected = logprobs[i]!;
    report.add('greedy text: log-probabilities', Math.abs(logprob - expected[0]!), LOGPROB_TOL);
    expected.forEach((value, k) => {
      report.add('greedy text: log-probabilities', Math.abs((top[k]?.logprob ?? NaN) - value), LOGPROB_TOL);
      const clear = [expected[k - 1], expected[k + 1]].every(
        (x) => x === undefined || Math.abs(x - value) > LOGPROB_TOL,
      );
      if (clear && top[k]?.id !== ids[i]![k]) wrong++;
    });
  });
  report.add('greedy text: wrong alternatives', wrong, 0);
}
