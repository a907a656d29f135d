/** This engine measured as a peer is: CONFIG STEPS, one line of JSON at the end. For src/cli/bench/peers.ts. */
import { openNodeGpu } from '../node-gpu.ts';
import { decodeBench } from './decode.ts';
import { trainBench } from './train.ts';

export async function main([config = '', steps = '']: string[]): Promise<number> {
  const gpu = await openNodeGpu();
  const [training] = await trainBench(gpu, [{ config }], Number(steps));
  const { tokPerS, cpuMsPerToken } = await decodeBench(gpu, config, 1);
  const { firstStepMs, msPerStep, cpuMsPerStep, dispatches, losses } = training!;
  const result = { firstStepMs, msPerStep, cpuMsPerStep, dispatches, losses, tokPerS, cpuMsPerToken };
  process.stdout.write(`RESULT ${JSON.stringify(result)}\n`);
  return 0;
}
