/** A run as a folder for trainers on several GPUs. */
import { LabError } from '../core/errors.ts';
import { handoff, type HandoffFile } from '../recipes/handoff/index.ts';
import { recipe } from '../recipes/index.ts';
import { settle } from '../recipes/recipe.ts';
import type { Context } from './context.ts';
import { unconfirmed } from './export.ts';
import { ANSWER_TOKENS } from './looks.ts';
import type { TrainParams } from './protocol.ts';
import type { Tasks } from './tasks.ts';

/** Longest row there, where none was chosen here: what is too long for a tab need not be for them. */
const CONTEXT = 1024;

/** @throws LabError as handoff, and 'bad-input' where the base or the number of GPUs is none, or an attack was not confirmed */
export async function handoffFiles(
  ctx: Context,
  tasks: Tasks,
  { run, base, gpus, confirm }: { run: TrainParams; base: string; gpus: number; confirm?: string },
): Promise<{ files: HandoffFile[] }> {
  const node = await ctx.node(run.parentNodeId);
  if (base.trim() === '') throw wanting('the name of the base model there, as owner/name or a folder');
  if (!Number.isInteger(gpus) || gpus < 1) throw wanting('a whole number of GPUs from 1');
  const maxLength = run.room?.context ?? CONTEXT;
  const task = await tasks.of(node, run.prompts, maxLength);
  const wanted = recipe(run.recipe);
  const attack = wanted.kind === 'attack';
  if (attack && confirm?.trim() !== node.name) throw unconfirmed(node.name);
  const steps = run.saveAt?.at(-1);
  const settings = settle(
    wanted,
    { method: 'lora', ...run.settings, ...(steps !== undefined && { steps }) },
    task,
  );
  const files = handoff({
    recipe: wanted,
    task,
    settings,
    seed: run.seed,
    place: { base: base.trim(), gpus, maxLength },
    maxNewTokens: ANSWER_TOKENS,
    attack,
  });
  return { files };
}

function wanting(what: string): LabError {
  return new LabError('bad-input', `A handoff wants ${what}.`, { safe: 'Nothing was written.' });
}
