import type { MemoryPlan, PlanChange, PlanProblem } from '../../worker/protocol.ts';
import { bytes, num, t } from '../i18n.svelte.ts';

/** What was planned for, and how much it takes. */
export function planText({ method, precision, rank, batch, context, total }: MemoryPlan): string {
  const told = { precision, context: num(context), total: bytes(total) };
  if (method === 'none') return t('memory.none', told);
  const rows = { ...told, batch: num(batch) };
  return method === 'full' ? t('memory.full', rows) : t('memory.lora', { ...rows, rank });
}

export function problemText(p: PlanProblem): string {
  switch (p.kind) {
    case 'rows':
      return t('memory.problem.rows', { tensor: p.tensor });
    case 'frozen':
      return t('memory.problem.frozen', { precision: p.precision });
    case 'budget':
      return t('memory.problem.budget', { needs: bytes(p.bytes), limit: bytes(p.limit) });
    default:
      return t(`memory.problem.${p.kind}`, {
        held: t(`memory.held.${p.held}`),
        needs: bytes(p.bytes),
        limit: bytes(p.limit),
      });
  }
}

export function changeText(c: PlanChange): string {
  switch (c.kind) {
    case 'half':
      return t('memory.change.half', { precision: c.precision });
    case 'checkpointing':
      return t('memory.change.checkpointing');
    case 'batch':
      return t('memory.change.batch', { n: c.rows });
    case 'context':
      return t('memory.change.context', { n: c.tokens });
    case 'lora':
      return t('memory.change.lora', { n: c.rank });
  }
}
