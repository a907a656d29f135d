/** A model's weights with adapters folded in, written in Hugging Face's layout slice by slice: no more of it is in memory. */
import { tensorShapes, type LlamaConfig } from '../core/config.ts';
import { INDEX } from '../files/checkpoint.ts';
import { encode, type Dtype } from '../files/dtypes.ts';
import { planShards } from '../files/shards.ts';
import type { Sink } from '../files/sink.ts';
import { sliceMerger, type StoredAdapter } from './lora-stack.ts';
import type { WeightSource } from './weights.ts';

/** A model's weights with adapters folded in, slice by slice as the source gives them; a slice is good until the next. */
export function mergedValues(
  config: LlamaConfig,
  source: Pick<WeightSource, 'values'>,
  adapters: readonly StoredAdapter[],
): Pick<WeightSource, 'values'> {
  const merge = sliceMerger(config, adapters);
  return {
    values: async function* (name) {
      for await (const { at, values } of source.values(name)) {
        merge(name, at, values);
        yield { at, values };
      }
    },
  };
}

/**
 * @param o.dtypeOf in which each tensor is written
 * @param o.open a new file; it is closed whatever happens
 * @returns the names of the files. @throws LabError where a value is too large for its type
 */
export async function writeMerged(
  config: LlamaConfig,
  source: Pick<WeightSource, 'values'>,
  adapters: readonly StoredAdapter[],
  o: { dtypeOf(name: string): Dtype; open(file: string): Promise<Sink>; shardBytes?: number },
): Promise<string[]> {
  const { values } = mergedValues(config, source, adapters);
  const { shards, index } = planShards(tensorShapes(config), o.dtypeOf, o.shardBytes);
  const write = async (file: string, parts: AsyncIterable<Uint8Array<ArrayBuffer>>): Promise<void> => {
    const sink = await o.open(file);
    try {
      for await (const part of parts) await sink.write(part);
    } finally {
      await sink.close();
    }
  };
  for (const { file, names, head } of shards)
    await write(
      file,
      (async function* () {
        yield head;
        for (const name of names)
          for await (const slice of values(name)) yield encode(name, slice.values, o.dtypeOf(name));
      })(),
    );
  const written = shards.map((s) => s.file);
  if (!index) return written;
  const text = new TextEncoder().encode(`${JSON.stringify(index, null, 2)}\n`);
  await write(
    INDEX,
    (async function* () {
      yield await Promise.resolve(text);
    })(),
  );
  return [...written, INDEX];
}
