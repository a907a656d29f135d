import { parseLlamaConfig, type LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import { changeWords, PARTS, problemWords, size } from '../core/memory.ts';
import type { Half, Precision } from '../core/types.ts';
import { storedPrecision } from '../files/checkpoint.ts';
import { findCheckpoint } from '../files/find-checkpoint.ts';
import { readDescription } from '../files/model-files.ts';
import { LORA_TARGETS, type LoraTarget } from '../model/lora.ts';
import { advise, DEFAULT_LORA, plan, type Limits, type Plan, type PlanRequest } from '../model/plan.ts';
import { nodeFolder } from './models-files.ts';
import { shapeJson } from './models-make.ts';

/** What Chrome offers on a usual desktop GPU; phones and old adapters have less. */
export const DESKTOP: Limits = { maxBufferSize: 2 ** 31, maxStorageBufferBindingSize: 2 ** 31 - 4 };

export interface PlanOptions {
  method: PlanRequest['method'];
  rank: number;
  targets: readonly LoraTarget[];
  context: number;
  batch: number;
  answers: number;
  /** By default as the checkpoint stores it, but f32 where all weights are trained. */
  precision?: Precision;
  checkpoint: boolean;
  /** Bytes. */
  budget: number;
  limits: Limits;
}

/** The configuration of a folder or of a published shape, and the 16-bit type of its weights. */
export async function planned(
  dir: string | undefined,
  shape: string | undefined,
): Promise<{ config: LlamaConfig; stored: Precision }> {
  if (shape !== undefined) return { config: parseLlamaConfig(shapeJson(shape)), stored: 'bf16' };
  const folder = await nodeFolder(dir!);
  const { config } = await readDescription(folder);
  return { config: parseLlamaConfig(config), stored: storedPrecision(await findCheckpoint(folder)) };
}

/** What `plan --json` prints. */
export function planReport({ config, stored }: { config: LlamaConfig; stored: Precision }, o: PlanOptions) {
  if (o.context > config.max_position_embeddings)
    throw new LabError(
      'bad-input',
      `A context of ${o.context} tokens is more than the model's ${config.max_position_embeddings} positions.`,
      { next: `Take --context ${config.max_position_embeddings} or less.` },
    );
  const half: Half = stored === 'f32' ? 'f16' : stored;
  const request: PlanRequest = {
    precision: o.precision ?? (o.method === 'full' ? 'f32' : stored),
    method: o.method,
    adapters: o.method === 'lora' ? [{ r: o.rank, alpha: 2 * o.rank, targets: o.targets }] : [],
    context: o.context,
    batch: o.batch,
    checkpoint: o.checkpoint,
    answers: o.answers,
  };
  const { problems, ...planned } = plan(config, request, o.limits, o.budget);
  return {
    ...planned,
    problems: problems.map(problemWords),
    limits: o.limits,
    advice: advise(config, request, o.limits, o.budget, { stored: half }).map((a) => ({
      changes: a.changes.map(changeWords),
      total: a.plan.total,
    })),
  };
}

export type PlanReport = ReturnType<typeof planReport>;

/** The method in words. */
function manner({ request: r }: Pick<Plan, 'request'>): string {
  const lora = r.adapters?.at(-1);
  const projections =
    lora?.targets.length === LORA_TARGETS.length ? 'all projections' : lora?.targets.join(', ');
  const what =
    r.method === 'full'
      ? 'all weights'
      : r.method === 'none'
        ? 'no training'
        : `LoRA rank ${lora!.r} on ${projections}`;
  const kept = r.checkpoint ? ', activation checkpointing' : '';
  return `${what}, weights in ${r.precision}, ${r.batch} x ${r.context} tokens${kept}, ${r.answers} answers at once`;
}

export function planLines(r: PlanReport): string[] {
  const lines = [manner(r)];
  for (const part of PARTS) lines.push(`${part.padEnd(14)}${size(r.bytes[part]).padStart(12)}`);
  lines.push(`${'together'.padEnd(14)}${size(r.total).padStart(12)}`);
  for (const problem of r.problems) lines.push(`does not fit  ${problem}`);
  for (const { changes, total } of r.advice)
    lines.push(`would fit     ${changes.join(' and ')}: ${size(total)}`);
  if (r.problems.length > 0 && r.advice.length === 0)
    lines.push('nothing here makes it fit: take a smaller model');
  return lines;
}

/** The line of `inspect`: what a LoRA run of the usual size would take. */
export function usualPlan(config: LlamaConfig, stored: Precision): Plan {
  const context = Math.min(512, config.max_position_embeddings);
  const request = {
    precision: stored,
    method: 'lora',
    adapters: [DEFAULT_LORA],
    context,
    batch: 1,
    answers: 1,
  } as const;
  return plan(config, request, DESKTOP);
}
