/** Where the time of a training step goes on the user's own GPU. Loaded only when asked for. */
import { Rng } from '../core/rng.ts';
import type { Batch } from '../core/types.ts';
import { asideBytes, profile } from '../gpu/profile.ts';
import { withStopwatch, type Stopwatch } from '../gpu/stopwatch.ts';
import type { Turn } from '../gpu/timing.ts';
import { ceilings, LEAST_CEILINGS } from '../kernels/ceilings.ts';
import { LORA_TARGETS } from '../model/lora.ts';
import { Trainer } from '../train/trainer.ts';
import type { Context } from './context.ts';
import { PRIORITY } from './gate.ts';
import { planRun, requireRoom } from './memory.ts';
import type { Models } from './models.ts';
import type { MemoryPlan, ParamsOf, StepProfile } from './protocol.ts';
import { buildModel } from './stored-model.ts';

const OPTIM = { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0, clip: 1 } as const;
const LORA = { r: 8, alpha: 16, targets: LORA_TARGETS };

/**
 * One step on a copy that nobody keeps: sixteen short rows on all weights, as the recipes have them, or one of 128 tokens on an
 * adapter where the weights are frozen. Every dispatch waits for its own turn.
 * @throws LabError 'too-large' where the step is not within the memory plan
 */
export async function profileStep(
  ctx: Context,
  models: Models,
  { nodeId }: ParamsOf<'profile'>,
  signal: AbortSignal,
): Promise<StepProfile> {
  const { gpu } = ctx;
  const node = await ctx.node(nodeId);
  const stored = await models.read(node);
  const { opened } = stored.bottom;
  const frozen = opened !== undefined && opened.kept !== 'copy';
  const lora = frozen ? LORA : null;
  const batch = frozen ? rows(1, 128, stored.config) : rows(16, 24, stored.config);
  const tokens = batch.reduce((n, row) => n + row.ids.length, 0);
  const cap = { maxTokens: tokens, maxLabels: tokens };
  const memory = await planRun(
    ctx,
    { parentId: nodeId },
    { plan: lora ? { lora } : {}, needs: {} },
    { ...cap, rows: batch.length },
    false,
  );
  requireRoom('This step', within(memory, LEAST_CEILINGS));
  const budget = memory.budget ?? Infinity;
  if (gpu.stats.bytes + Math.max(memory.total, LEAST_CEILINGS) > budget)
    models.makeRoom(await ctx.rootId(node));
  const turn: Turn = (work) => ctx.gate.run(PRIORITY.evaluation, work, signal);

  const measure = async (watch: Stopwatch): Promise<StepProfile> => {
    const most = await ceilings(gpu, watch, turn, budget - gpu.stats.bytes);
    const { built, trainer } = await turn(() =>
      models.on(stored, !frozen, (base) => {
        const built = buildModel(gpu, stored, base, { lora, seed: 'profile' });
        return { built, trainer: new Trainer(built.model, OPTIM, cap) };
      }),
    );
    try {
      requireRoom('This step', within(memory, memory.total + asideBytes(trainer.programs)));
      await turn(async () => {
        await trainer.step([batch], 1e-4);
        await trainer.flush();
      });
      const kernels = await profile(gpu, watch, trainer.programs, turn);
      const { clock } = watch.timing;
      return { nodeId, name: node.name, kernels, clock, ceilings: most, rows: batch.length, tokens };
    } finally {
      trainer.destroy();
      built.destroy();
    }
  };
  return withStopwatch(gpu, measure, turn);
}

/** The plan of something that takes so many bytes; nobody can choose its rows or its method. */
function within(memory: MemoryPlan, bytes: number): MemoryPlan {
  const { budget, problems } = memory;
  const over = problems.length === 0 && budget !== null && bytes > budget;
  return {
    ...memory,
    advice: [],
    problems: over ? [{ kind: 'budget', bytes, limit: budget }] : problems,
  };
}

function rows(
  count: number,
  length: number,
  config: { vocab_size: number; max_position_embeddings: number },
): Batch {
  const rng = new Rng('profile');
  return Array.from({ length: count }, () => {
    const size = Math.min(length, config.max_position_embeddings);
    const ids = Array.from({ length: size }, () => rng.int(config.vocab_size));
    return { ids, labels: ids };
  });
}
