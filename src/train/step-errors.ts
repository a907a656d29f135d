import { LabError } from '../core/errors.ts';
import type { ParamSet } from '../model/params.ts';

export function emptyBatch(): LabError {
  return new LabError('bad-input', 'The batch has no token to learn from.', {
    safe: 'Nothing was changed.',
    next: 'Give at least one example with an answer.',
  });
}

/** What stopped a run, read from the train state. */
export function nonFinite(view: DataView, params: ParamSet): LabError {
  const step = view.getUint32(20, true);
  const at = view.getUint32(24, true);
  const count = view.getUint32(28, true);
  const entry = params.layout.entries.find((e) => at >= e.offset && at < e.offset + e.size);
  const where = entry
    ? `the gradient of ${entry.name}${count > 1 ? ` (${count} numbers)` : ''}`
    : 'the loss or the norm';
  return new LabError('non-finite', `Step ${step} gave a number that is not finite, in ${where}.`, {
    safe: `The weights are those after step ${step - 1}; nothing was written since.`,
    next: 'Lower the learning rate, or look at the data of this step.',
  });
}
