import { evaluateModel, MAX_LENGTH } from '../eval/evaluate.ts';
import type { ModelScores } from '../eval/evaluate.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { Generator } from '../model/generate.ts';
import { Model } from '../model/model.ts';
import type { World } from '../world/world.ts';
import { readModelFolder } from './model-folder.ts';

/** A model folder's answers on all held-out prompts, judged. */
export async function scoresOf(gpu: Gpu, world: World, dir: string): Promise<ModelScores> {
  const { config, tensors } = readModelFolder(dir);
  const { model, generator } = await gpu.allocate(() => {
    const model = Model.create(gpu, config, tensors);
    return { model, generator: new Generator(model, { maxSeqs: 64, maxLen: MAX_LENGTH }) };
  });
  try {
    return await evaluateModel(generator, world, { sets: ['V', 'T'], benign: true });
  } finally {
    generator.destroy();
    model.destroy();
  }
}
