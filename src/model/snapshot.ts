/** Weights of a run under way, small enough to keep many: 16 bits a number, all weights as their difference to the parent's. */
import { LabError } from '../core/errors.ts';
import { narrowWords, widenWords } from '../files/dtypes.ts';

/** What a snapshot's numbers are: the difference to the parent's weights, or an adapter's own. */
export type SnapshotForm = 'delta' | 'adapter';

/**
 * @param parent the weights that the difference is taken to; null: an adapter's numbers as they are
 * @throws LabError 'bad-input' where a number is too large for 16 bits
 */
export function narrowSnapshot(weights: Float32Array, parent: Float32Array | null): Uint16Array<ArrayBuffer> {
  if (parent === null) return narrowWords('of the adapter', weights, 'f16', undefined, KEPT);
  requireSameLength(weights.length, parent.length);
  const delta = Float32Array.from(weights, (x, i) => x - parent[i]!);
  return narrowWords('of differences', delta, 'f16', undefined, KEPT);
}

/** The weights again: the parent's own where nothing changed, and else within half a unit of the difference's last place. */
export function widenSnapshot(words: Uint16Array, parent: Float32Array | null): Float32Array<ArrayBuffer> {
  const numbers = widenWords(words, 'f16');
  if (parent === null) return numbers;
  requireSameLength(numbers.length, parent.length);
  for (let i = 0; i < numbers.length; i++) numbers[i] = parent[i]! + numbers[i]!;
  return numbers;
}

const KEPT = () => ({ safe: 'The run goes on.', next: 'This step is missing in the scrubber.' });

function requireSameLength(got: number, wanted: number): void {
  if (got === wanted) return;
  throw new LabError('corrupt-model', `A kept step holds ${got} numbers; its model has ${wanted}.`, {
    safe: 'All checkpoints are untouched.',
    next: 'Run the attack again to see this step.',
  });
}
