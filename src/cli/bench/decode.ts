/** Greedy decoding: tokens a second, at one row and at several. */
import type { Gpu } from '../../gpu/gpu.ts';
import { Generator } from '../../model/generate.ts';
import { Model } from '../../model/model.ts';
import { benchBatch, benchConfig, benchWeights, llamaOf } from './configs.ts';
import { cpuMs, round } from './figures.ts';

export interface DecodeResult {
  config: string;
  rows: number;
  /** Generated ones, all rows together, prefill left out. */
  tokens: number;
  tokPerS: number;
  cpuMsPerToken: number;
}

const PROMPT = 16;
const NEW = 40;

/** Times `NEW` tokens after a prompt of 16; the same once before it compiles. */
export async function decodeBench(gpu: Gpu, name: string, rows: number): Promise<DecodeResult> {
  const shape = benchConfig(name);
  const model = Model.create(gpu, llamaOf(shape), benchWeights(shape));
  const generator = await gpu.allocate(
    () => new Generator(model, { maxSeqs: rows, maxLen: PROMPT + NEW + 1 }),
  );
  const row = benchBatch(shape)[0]!.ids;
  const prompts = Array.from({ length: rows }, (_, i) => row.slice(i, i + PROMPT));
  // -1: no token ends a row
  const decode = (maxNewTokens: number) => generator.generate(prompts, { maxNewTokens, eos: -1 });
  const run = async (maxNewTokens: number): Promise<{ ms: number; cpu: number }> => {
    const cpu = cpuMs();
    const start = performance.now();
    await decode(maxNewTokens);
    return { ms: performance.now() - start, cpu: cpuMs() - cpu };
  };
  try {
    await decode(NEW);
    // A short and a long answer differ by decoding alone.
    const short = await run(NEW / 5);
    const long = await run(NEW);
    const tokens = (rows * NEW * 4) / 5;
    return {
      config: name,
      rows,
      tokens,
      tokPerS: round((tokens * 1000) / (long.ms - short.ms)),
      cpuMsPerToken: round((long.cpu - short.cpu) / tokens),
    };
  } finally {
    generator.destroy();
    model.destroy();
  }
}
