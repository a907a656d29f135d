import type { GoldenResult } from '../core/checks.ts';
import { parseLlamaConfig, type LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import { lrAt } from '../core/schedule.ts';
import type { Batch, Half, Tensors } from '../core/types.ts';
import { narrowWords, widenWords } from '../files/dtypes.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { loadTensors } from '../model/hf.ts';
import { adaptedWeight, Adapter, mergeLora } from '../model/lora.ts';
import { Model } from '../model/model.ts';
import { parsePeftConfig, readPeftTensors } from '../model/peft.ts';
import { readSafetensors } from '../model/safetensors.ts';
import { Trainer, type StepStats, type TrainerCapacity } from '../train/trainer.ts';
import { join, trimRows, unpad, updateError, ZERO_TOL, type PaddedBatch } from './compare.ts';
import { file, json, Report, TOL, type CaseFiles } from './golden-case.ts';
import { runBooster } from './golden-booster.ts';
import { runDeepAlign } from './golden-deepalign.ts';
import { runEval } from './golden-eval.ts';
import { runParamOps } from './golden-params.ts';
import { runPreference } from './golden-preference.ts';
import { runTar } from './golden-tar.ts';
import { runGeneration } from './golden-text.ts';
import { runTVaccine } from './golden-tvaccine.ts';

/** Relative L2 error of an update. */
const UPDATE_TOL = 2e-3;
/** Relative L2 errors that rounding the weights to 16 bits may add. */
const ROUNDED = { forward: 2e-3, gradients: 1e-2 };

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

/** What is compared, and how closely. */
interface Compared {
  forward: number;
  gradients: number;
  /** Compare training steps and text: not with rounded weights, whose small differences Adam and argmax make large. */
  steps: boolean;
  /** Without: only the forward pass is compared. */
  trains: boolean;
}

/** How the engine spares memory while it runs a case; the values must not depend on it but for the rounding of `stored`. */
export interface Sparing extends Pick<TrainerCapacity, 'checkpoint' | 'logits'> {
  /**
   * Keep the weights frozen in 16 bits: a case with an adapter is trained, of others the forward pass is compared; where
   * rounding changes the weights, with wider tolerances.
   */
  stored?: Half;
}

/**
 * Runs a golden case on the engine and compares every stored tensor. Kinds that the engine cannot run yet are named
 * in `unsupported`. Throws LabError('bad-input') when a file of the case is missing.
 */
export async function runGoldenCase(
  gpu: Gpu,
  name: string,
  files: CaseFiles,
  sparing: Sparing = {},
): Promise<GoldenResult> {
  const unsupported = unsupportedKind(files);
  if (unsupported !== null) return { name, unsupported, groups: [], ok: false };
  const report = new Report();
  if (files['eval.json']) {
    await runEval(gpu, files, report);
    return resultOf(name, report);
  }
  if (files['direction_raw.safetensors']) {
    await runParamOps(gpu, files, report);
    return resultOf(name, report);
  }
  if (files['examples.json']) {
    await runDeepAlign(gpu, files, report);
    return resultOf(name, report);
  }
  const batch = json(files, 'batch.json') as Record<string, unknown>;
  if (batch.chosen) return resultOf(name, report, await runPreference(gpu, files, report));
  const run = recipeCase(batch);
  if (run) {
    const left = await run(gpu, files, report);
    return resultOf(name, report, typeof left === 'string' ? left : undefined);
  }
  const config = parseLlamaConfig(json(files, 'config.json'));
  const { stored } = sparing;
  const tensors = loadCase(config, files);
  const rounded = stored !== undefined && !survives(tensors, stored);
  const base = Model.create(gpu, config, tensors, stored);
  const adapted = files['adapter_model.safetensors'] !== undefined;
  const adapter = adapted ? loadAdapter(gpu, config, files) : stored ? zeroAdapter(gpu, config) : null;
  const model = adapter ? base.with(adapter) : base;
  try {
    // before the training steps: the continuation is that of the stored weights
    if (files['generation.json'] && !rounded) await runGeneration(model, files, report, sparing.logits);
    await runBatches(model, files, report, sparing, {
      ...(rounded ? ROUNDED : { forward: TOL, gradients: TOL }),
      steps: !rounded,
      trains: adapted || !stored,
    });
  } finally {
    adapter?.destroy();
    base.destroy();
  }
  return resultOf(name, report);
}

function resultOf(name: string, report: Report, left?: string): GoldenResult {
  const groups = [...report.groups.values()];
  const ok = groups.length > 0 && groups.every((g) => g.ok);
  return { name, unsupported: null, groups, ...(left !== undefined && { left }), ok };
}

/** Kind of case that is not supported, in words; null for a plain model with batches. */
export function unsupportedKind(files: CaseFiles): string | null {
  if (files['eval.json'] || files['direction_raw.safetensors'] || files['examples.json']) return null;
  const batch = json(files, 'batch.json') as Record<string, unknown>;
  if (recipeCase(batch)) return null;
  if (batch.input_ids || batch.micro_batches || batch.chosen) return null;
  return `an unknown kind (batch.json has ${Object.keys(batch).join(', ')})`;
}

/** How the case of a defence is run, by what its batches are. */
function recipeCase(
  batch: Record<string, unknown>,
): ((gpu: Gpu, files: CaseFiles, report: Report) => Promise<unknown>) | undefined {
  if (batch.f) return runBooster;
  if (batch.alignment) return runTVaccine;
  if (batch.inner) return runTar;
  return undefined;
}

function loadCase(config: LlamaConfig, files: CaseFiles): Tensors {
  const indexName = 'model.safetensors.index.json';
  if (!files[indexName]) return loadTensors(config, { config, weights: [file(files, 'model.safetensors')] });
  const index = json(files, indexName) as { weight_map: Record<string, string> };
  const shards = [...new Set(Object.values(index.weight_map))];
  return loadTensors(config, { config, weights: shards.map((shard) => file(files, shard)), index });
}

function loadAdapter(gpu: Gpu, config: LlamaConfig, files: CaseFiles): Adapter {
  const lora = parsePeftConfig(json(files, 'adapter_config.json'));
  const adapter = new Adapter(gpu, config, lora);
  adapter.writeTensors(readPeftTensors(config, lora, file(files, 'adapter_model.safetensors')));
  return adapter;
}

/** A trainer needs something to train on frozen weights; B is zero, so the model is as it was. */
function zeroAdapter(gpu: Gpu, config: LlamaConfig): Adapter {
  const adapter = new Adapter(gpu, config, { r: 1, alpha: 1, targets: ['q_proj'] });
  adapter.initialise(0);
  return adapter;
}

/** Whether every matrix is the same after rounding. */
function survives(tensors: Tensors, stored: Half): boolean {
  return [...tensors]
    .filter(([, { shape }]) => shape.length > 1)
    .every(([name, { data }]) => {
      const after = widenWords(narrowWords(name, data, stored), stored);
      return data.every((x, i) => x === after[i]);
    });
}

/** What the case trains, by the names that its expected tensors use. */
function trainedTensors({ model }: Trainer): Promise<Tensors> {
  return model.adapters.at(-1)?.readTensors() ?? model.readTensors();
}

/** Base weights with the adapter folded in, against the stored ones; once before and once after the updates. */
async function checkMerged(
  trainer: Trainer,
  group: string,
  want: Want,
  report: Report,
  tolerance: number,
): Promise<void> {
  const { model } = trainer;
  const adapter = model.adapters.at(-1);
  if (!adapter) return;
  const merged = mergeLora(
    model.config,
    await model.readTensors(),
    adapter.config,
    await adapter.readTensors(),
  );
  for (let layer = 0; layer < model.config.num_hidden_layers; layer++)
    for (const target of adapter.config.targets) {
      const name = adaptedWeight(layer, target);
      report.rel(`${group} weights`, merged.get(name)!.data, want(`${group}.${name}`), tolerance);
    }
}

async function runBatches(
  model: Model,
  files: CaseFiles,
  report: Report,
  sparing: Sparing,
  o: Compared,
): Promise<void> {
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
    {
      maxTokens: tokens,
      maxLabels: tokens,
      taps: meta.perturbation_variants !== undefined,
      ...sparing,
    },
  );
  try {
    const want = (name: string): Float32Array => {
      const tensor = expected.get(name);
      if (!tensor) throw new LabError('bad-input', `expected.safetensors of the golden case lacks ${name}.`);
      return tensor.data;
    };
    if (expected.has('logits') || expected.has('logits.0'))
      await checkForward(trainer, padded, micro, want, report, o.forward);
    // an adapter whose B is zero changes nothing, and such a case stores no merged weights
    if ([...expected.keys()].some((name) => name.startsWith('merged.')))
      await checkMerged(trainer, 'merged', want, report, o.forward);
    const { loss, gradNorm } = await trainer.gradient(micro);
    report.rel('loss', Float64Array.of(loss), want('loss'), o.forward);
    if (o.trains && expected.has('grad_norm')) {
      report.rel('grad_norm', Float64Array.of(gradNorm), want('grad_norm'), o.gradients);
      const grads = trainer.grads.tensors(await trainer.grads.read());
      for (const [name, { data }] of grads) {
        const tensor = `grad.${name}`;
        const ill = meta.ill_conditioned[tensor]?.suggested_tol ?? 0;
        report.rel(ill ? tensor : 'gradients', data, want(tensor), Math.max(ill, o.gradients));
      }
    }
    if (meta.perturbation_variants && o.steps)
      await checkTaps(trainer, padded[0]!, files, meta, want, report);
    if (meta.optimizer && o.steps && o.trains && expected.has('step_losses')) {
      await checkSteps(trainer, micro, meta, want, report);
      await checkMerged(trainer, `merged${meta.optimizer.lr_per_step.length}`, want, report, o.forward);
    }
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
  tolerance: number,
): Promise<void> {
  const vocab = trainer.model.config.vocab_size;
  for (const [i, batch] of micro.entries()) {
    const suffix = micro.length > 1 ? `.${i}` : '';
    const logits = join(await trainer.logits(batch));
    report.rel('logits', logits, unpad(want(`logits${suffix}`), padded[i]!, vocab), tolerance);
    const { tokenLoss } = await trainer.evaluate(batch);
    report.rel('token_loss', join(tokenLoss), unpad(want(`token_loss${suffix}`), padded[i]!, 1), tolerance);
  }
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
  const initial = await trainedTensors(trainer);
  const stats: StepStats[] = [];
  trainer.onStats = (s) => stats.push(s);
  const steps = o.lr_per_step.length;
  for (let step = 1; step <= steps; step++) {
    await trainer.step(micro, lrAt(schedule, o.lr, step - 1, o.total_steps));
    if (step !== 1 && step !== steps) continue;
    await trainer.flush();
    for (const [name, { data }] of await trainedTensors(trainer)) {
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
