/** The kernels and the whole engine against what is known to be right, on the user's own GPU. Loaded only when asked for. */
import type { Context } from './context.ts';
import { PRIORITY } from './gate.ts';
import type { EventOf, GoldenResult, ParamsOf, ResultOf } from './protocol.ts';

export async function selfCheck(
  ctx: Context,
  { full = false }: ParamsOf<'selfCheck'>,
  emit: (event: EventOf<'selfCheck'>) => void,
  signal: AbortSignal,
): Promise<ResultOf<'selfCheck'>> {
  const { runSelfCheck } = await import('../selfcheck/index.ts');
  const begun = performance.now();
  const checks = await ctx.gate.run(
    PRIORITY.evaluation,
    () =>
      runSelfCheck(ctx.gpu, { full, signal, onCheck: (check, done, total) => emit({ check, done, total }) }),
    signal,
  );
  return { ok: checks.every((c) => c.ok), checks, milliseconds: performance.now() - begun };
}

export async function runGolden(
  ctx: Context,
  name: string,
  files: Record<string, ArrayBuffer>,
  signal: AbortSignal,
): Promise<GoldenResult> {
  const { runGoldenCase } = await import('../selfcheck/golden.ts');
  return ctx.gate.run(PRIORITY.evaluation, () => runGoldenCase(ctx.gpu, name, files), signal);
}
