/**
 * npm run pretrain -- [--world SEED] [--shape tiny|deep] [--out DIR] [--verify] [--cards] [--steps N --chat-steps N]
 *
 * Trains tiny-base on the world's stream and tiny-chat from it, and writes both in Hugging Face layout. Without --world
 * it makes the shipped world's models under public/models. --shape deep makes them two thirds as wide and twice as deep.
 * Interrupted, it resumes from the last checkpoint (a minute at most is lost). --verify trains the first 30 steps again
 * from the seed in the folder and compares the losses; --cards judges the folder's models again and rewrites their
 * README.md without training.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseLlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import { tokenizerConfigJson, tokenizerJson } from '../data/tokenizer-files.ts';
import type { ModelScores } from '../eval/evaluate.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { TINY_BASE, TINY_CHAT, SHAPES, tinyConfigJson, type Shape } from '../recipes/tiny.ts';
import type { RunPlan } from '../recipes/recipe.ts';
import { createWorld } from '../world/world.ts';
import { dropState, loadState, saveState, writeAtomic } from './checkpoint-file.ts';
import type { TrainingSegment } from './checkpoint-file.ts';
import { codeDigest } from './code-digest.ts';
import { modelCard } from './model-card.ts';
import { readModelFolder, writeModelFolder } from './model-folder.ts';
import type { TrainingRecord } from './model-folder.ts';
import { openNodeGpu } from './node-gpu.ts';
import { baseStage, chatStage, firstLosses, openSession, type Stage } from './pretrain-stages.ts';
import { Progress } from './progress.ts';

export const SHIPPED_WORLD = 0;
export const SHIPPED_DIR = 'public/models';
/** Steps whose losses the record keeps one by one. */
export const REPLAY_STEPS = 30;
/**
 * Largest relative difference of a replayed loss. The same adapter repeats bit for bit; other adapters sum in another
 * order, and training amplifies the difference from step to step.
 */
export const REPLAY_TOLERANCE = 2e-3;

const CHECKPOINT_EVERY_MS = 60_000;

export interface Replay {
  stage: string;
  adapter: string;
  losses: number[];
  committed: number[];
  /** Largest |loss - committed| / committed. */
  worst: number;
}

/** Trains the first n steps of a folder's models again, from the seed in their records. Writes nothing. */
export async function replay(
  gpu: Gpu,
  dir: string,
  n: number,
  stages = ['tiny-base', 'tiny-chat'],
): Promise<Replay[]> {
  const base = readModelFolder(join(dir, 'tiny-base'));
  const world = createWorld(base.record.worldSeed);
  const out: Replay[] = [];
  for (const name of stages) {
    const { record } = name === 'tiny-base' ? base : readModelFolder(join(dir, name));
    const stage =
      name === 'tiny-base'
        ? baseStage(world, base.config, record.steps)
        : chatStage(world, base, record.steps);
    const committed = record.firstLosses.slice(0, n);
    if (committed.length < n)
      throw new LabError(
        'corrupt-model',
        `${name}: its training.json holds ${committed.length} losses, not ${n}.`,
        {
          next: 'Make the model again with "npm run pretrain".',
        },
      );
    const losses = await firstLosses(gpu, stage, committed.length);
    const worst = Math.max(...losses.map((loss, i) => Math.abs(loss - committed[i]!) / committed[i]!));
    out.push({ stage: name, adapter: record.adapter, losses, committed, worst });
  }
  return out;
}

async function train(gpu: Gpu, stage: Stage, checkpoint: string) {
  let last = performance.now();
  let since = { at: last, tokens: 0 };
  let speed = 0;
  let saving: Promise<void> | null = null;
  let progress: Progress | null = null;
  let failed: unknown = null;
  const segments: TrainingSegment[] = [];
  const run = await openSession(gpu, stage, {
    onStats(s) {
      since.tokens += s.tokens;
      const now = performance.now();
      if (now - since.at > 2000) {
        speed = (since.tokens / (now - since.at)) * 1000;
        since = { at: now, tokens: 0 };
      }
      progress?.update(s.step, `loss ${s.loss.toFixed(3)} ${Math.round(speed)} tokens/s`);
      if (now - last > CHECKPOINT_EVERY_MS && !saving) {
        last = now;
        saving = run.session
          .checkpoint()
          .then((state) => saveState(checkpoint, state, segments))
          .catch((error: unknown) => {
            // A run that cannot be resumed any more stops with its reason rather than going on unprotected.
            failed = error;
            run.session.stop();
          })
          .finally(() => (saving = null));
      }
    },
  });
  const stop = (): void => run.session.stop();
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  try {
    const stored = loadState(checkpoint);
    if (stored) {
      const { segments: earlier, ...state } = stored;
      run.session.restore(state);
      segments.push(...earlier);
      process.stderr.write(`${stage.name}: resuming after step ${stored.step}\n`);
    }
    const own = {
      adapter: gpu.info.description,
      kernels: JSON.stringify(gpu.table),
      digest: codeDigest(),
    };
    const before = segments.at(-1);
    const same =
      before?.adapter === own.adapter && before.kernels === own.kernels && before.digest === own.digest;
    // A finished run that is only read again was computed by nothing new.
    if (!same && run.session.step < stage.plan.steps) segments.push({ fromStep: run.session.step, ...own });
    progress = new Progress(stage.name, stage.plan.steps, run.session.step);
    const how = await run.session.run();
    if (saving) await saving;
    if (failed)
      throw new LabError('quota', `${stage.name}: the checkpoint could not be written.`, {
        safe: 'The checkpoint before it is whole.',
        next: `Make room for ${checkpoint}; the same command goes on from there.`,
        cause: failed,
      });
    if (how === 'stopped') {
      saveState(checkpoint, await run.session.checkpoint(), segments);
      process.stderr.write(
        `\n${stage.name}: stopped after step ${run.session.step}; the same command goes on from there.\n`,
      );
      return null;
    }
    // Kept until every stage is done, so that an interruption in a later stage does not cost this one.
    saveState(checkpoint, await run.session.checkpoint(), segments);
    progress.done(`${run.session.step} steps, loss ${run.session.log.at(-1)?.loss.toFixed(3)}`);
    return { tensors: await run.model.readTensors(), log: run.session.log, segments };
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
    run.close();
  }
}

/** [step, mean loss since the entry before], some fifty entries over the run. */
function sparseCurve(losses: readonly number[]): [number, number][] {
  const stride = Math.max(1, Math.round(losses.length / 45));
  const out: [number, number][] = [];
  for (let at = 0; at < losses.length; at += stride) {
    const part = losses.slice(at, at + stride);
    out.push([at + part.length, Number((part.reduce((a, b) => a + b, 0) / part.length).toFixed(4))]);
  }
  return out;
}

/** What is trained, and where it goes. */
interface Order {
  seed: number;
  shape: Shape;
  out: string;
  steps: { base: number; chat: number };
}

async function pretrain(gpu: Gpu, { seed, shape, out, steps }: Order): Promise<number> {
  const world = createWorld(seed);
  const configJson = tinyConfigJson(shape);
  const stages = [
    (): Stage => baseStage(world, parseLlamaConfig(configJson), steps.base),
    (): Stage => chatStage(world, readModelFolder(join(out, 'tiny-base')), steps.chat),
  ];
  const checkpoints: string[] = [];
  for (const make of stages) {
    const stage = make();
    const checkpoint = join(
      '.cache',
      'pretrain',
      placeOf(seed, shape),
      // another stream or another schedule is another run: its checkpoint is not this one's
      `${stage.name}-${runKey(stage.plan)}.safetensors`,
    );
    checkpoints.push(checkpoint);
    const dir = join(out, stage.name);
    const done = await train(gpu, stage, checkpoint);
    if (!done) return 130;
    const losses = done.log.map((s) => s.loss);
    const record: Omit<TrainingRecord, 'weightsSha256'> = {
      model: stage.name,
      worldSeed: seed,
      steps: stage.plan.steps,
      adapter: [...new Set(done.segments.map((s) => s.adapter))].join('; ') || gpu.info.description,
      segments: done.segments,
      date: new Date().toISOString().slice(0, 10),
      firstLosses: losses.slice(0, REPLAY_STEPS),
      curve: sparseCurve(losses),
    };
    const write = (scores: ModelScores | null): void =>
      writeModelFolder(dir, {
        config: configJson,
        tokenizer: tokenizerJson(),
        tokenizerConfig: tokenizerConfigJson(),
        tensors: done.tensors,
        record,
        card: modelCard(stage.name, stage.plan, stage.config, record, scores),
      });
    // Scores are those of the rounded file, so the file comes first and the card is written again with them.
    write(null);
    // Loaded when training is over: a long run does not wait for what it does not need.
    const { scoresOf } = await import('./scores.ts');
    const scores = await scoresOf(gpu, world, dir);
    write(scores);
    process.stdout.write(
      `${dir}: benign ${pct(scores.benign!.mean)}, on T: ${JSON.stringify(scores.forbidden.T!.counts)}\n`,
    );
  }
  for (const checkpoint of checkpoints) dropState(checkpoint);
  return 0;
}

/** What decides the batches and the schedule. */
function runKey(plan: RunPlan): string {
  const data = codeDigest(undefined, ['src/world', 'src/data']);
  return `${plan.steps}-${createHash('sha256')
    .update(JSON.stringify([plan, data]))
    .digest('hex')
    .slice(0, 12)}`;
}

const pct = (x: number): string => `${(100 * x).toFixed(1)} %`;

/** Judges a folder's models again and rewrites their cards. */
async function cards(gpu: Gpu, dir: string): Promise<number> {
  const { scoresOf } = await import('./scores.ts');
  for (const [name, plan] of [
    ['tiny-base', TINY_BASE],
    ['tiny-chat', TINY_CHAT],
  ] as const) {
    const folder = join(dir, name);
    const { config, record } = readModelFolder(folder);
    const scores = await scoresOf(gpu, createWorld(record.worldSeed), folder);
    const card = modelCard(name, { ...plan, steps: record.steps }, config, record, scores);
    writeAtomic(join(folder, 'README.md'), card);
    process.stdout.write(`${folder}: card written\n`);
  }
  return 0;
}

async function verify(gpu: Gpu, dir: string): Promise<number> {
  let code = 0;
  for (const r of await replay(gpu, dir, REPLAY_STEPS)) {
    const ok = r.worst <= REPLAY_TOLERANCE;
    if (!ok) code = 1;
    process.stdout.write(
      `${ok ? 'ok  ' : 'FAIL'} ${r.stage}: ${r.losses.length} steps, largest relative difference ${r.worst.toExponential(1)} ` +
        `(tolerance ${REPLAY_TOLERANCE}); trained on ${r.adapter}, replayed on ${gpu.info.description}\n`,
    );
  }
  return code;
}

export async function main(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      world: { type: 'string' },
      shape: { type: 'string', default: 'tiny' },
      out: { type: 'string' },
      verify: { type: 'boolean', default: false },
      cards: { type: 'boolean', default: false },
      steps: { type: 'string' },
      'chat-steps': { type: 'string' },
    },
  });
  const seed = count('--world', values.world, SHIPPED_WORLD);
  const shape = Object.keys(SHAPES).find((s) => s === values.shape) as Shape | undefined;
  if (!shape)
    throw new LabError('bad-input', `There is no shape "${values.shape}".`, {
      next: `Choose one of ${Object.keys(SHAPES).join(', ')}.`,
    });
  const shipped = seed === SHIPPED_WORLD && shape === 'tiny';
  const out = values.out ?? (shipped ? SHIPPED_DIR : join('.cache', 'models', placeOf(seed, shape)));
  const shortened = values.steps !== undefined || values['chat-steps'] !== undefined;
  if (shortened && values.out === undefined)
    throw new LabError(
      'bad-input',
      'A shortened run is not a shipped model: name a folder for it with --out.',
    );
  const gpu = await openNodeGpu();
  if (values.verify) return verify(gpu, out);
  if (values.cards) return cards(gpu, out);
  const steps = {
    base: count('--steps', values.steps, TINY_BASE.steps),
    chat: count('--chat-steps', values['chat-steps'], TINY_CHAT.steps),
  };
  return pretrain(gpu, { seed, shape, out, steps });
}

const placeOf = (seed: number, shape: Shape): string =>
  shape === 'tiny' ? `world-${seed}` : `world-${seed}-${shape}`;

function count(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (!/^\d+$/.test(text)) throw new LabError('bad-input', `${name} wants a whole number, not "${text}".`);
  return Number(text);
}
