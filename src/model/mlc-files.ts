/** A model's weights with adapters folded in, written as MLC shards slice by slice: no more of it is in memory. */
import type { LlamaConfig } from '../core/config.ts';
import type { Dtype } from '../files/dtypes.ts';
import { encodeMlc } from '../files/mlc/encode.ts';
import { llamaToMlc } from '../files/mlc/names.ts';
import type { Sink } from '../files/sink.ts';
import type { StoredAdapter } from './lora-stack.ts';
import { mergedValues } from './merged-files.ts';
import type { WeightSource } from './weights.ts';

/**
 * @param o.open a new file; it is closed whatever happens
 * @returns the names of the files. @throws LabError where a value is too large for its type
 */
export async function writeMlc(
  config: LlamaConfig,
  source: Pick<WeightSource, 'values'>,
  adapters: readonly StoredAdapter[],
  o: { dtype: Dtype; open(file: string): Promise<Sink> },
): Promise<string[]> {
  const { files } = await encodeMlc(llamaToMlc(config, mergedValues(config, source, adapters)), o);
  return files;
}
