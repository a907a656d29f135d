/** Which kernels the lab uses on this GPU: measured once for each adapter and engine, remembered in this browser. */
import { readTable } from '../core/kernel-table.ts';
import { chooseKernels, type Choice } from '../kernels/choose.ts';
import { ENGINE_VERSION, type Context } from './context.ts';
import { PRIORITY } from './gate.ts';
import type { Kernels } from './protocol.ts';

/** Its entry among the settings: one choice for each adapter, of this engine only. */
const SETTING = 'kernels';

interface Remembered {
  engine: string;
  /** By adapter. */
  choices: Record<string, Choice>;
}

/** What a choice holds for. */
function adapterKey(ctx: Context): string {
  const { vendor, architecture, device, description } = ctx.gpu.info;
  return JSON.stringify([vendor, architecture, device, description, ctx.gpu.table.subgroupSize]);
}

async function remembered(ctx: Context): Promise<Remembered> {
  const stored = (await ctx.store.setting(SETTING)) as Remembered | undefined;
  return stored?.engine === ENGINE_VERSION ? stored : { engine: ENGINE_VERSION, choices: {} };
}

/** Uses what was remembered for this adapter, if anything was. */
export async function recallKernels(ctx: Context): Promise<void> {
  const choice = (await remembered(ctx)).choices[adapterKey(ctx)];
  const table = readTable(choice?.table, ctx.gpu.table.subgroupSize);
  if (choice && table) ctx.useKernels({ table, measured: choice.measured });
}

/**
 * Measures where nothing is remembered, or `again`; in turns with everything else that the GPU does. Models and runs that are
 * there keep their kernels.
 */
export async function measureKernels(ctx: Context, again: boolean, signal: AbortSignal): Promise<Kernels> {
  if (ctx.kernels.measured && !again) return ctx.kernels;
  const { gpu } = ctx;
  const choice = await chooseKernels(gpu, (work) => ctx.gate.run(PRIORITY.evaluation, work, signal));
  // another device may have come meanwhile
  if (ctx.gpu.device !== gpu.device) return ctx.kernels;
  ctx.useKernels(choice);
  const { engine, choices } = await remembered(ctx);
  await ctx.store.setSetting(SETTING, { engine, choices: { ...choices, [adapterKey(ctx)]: choice } });
  return ctx.kernels;
}
