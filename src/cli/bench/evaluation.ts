/** What answering many prompts at once gains: the same prompts, one at a time and together, with the same tokens. */
import { join } from 'node:path';
import { Rng } from '../../core/rng.ts';
import { promptIds } from '../../data/chat.ts';
import { evalBenign, evalForbidden } from '../../data/evalsets.ts';
import { answerRows, MAX_LENGTH, type Answer } from '../../eval/evaluate.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { Generator } from '../../model/generate.ts';
import { Model } from '../../model/model.ts';
import { createWorld } from '../../world/world.ts';
import { readModelFolder } from '../model-folder.ts';
import { SHIPPED_DIR } from '../pretrain.ts';
import { round } from './figures.ts';

const PROMPTS = 200;
/** Prompts answered together. */
const TOGETHER = 96;
/** Size of the noise on the checkpoints that are not shipped, relative to each weight: their answers differ. */
const NOISE = 0.05;

export interface EvaluationFigures {
  checkpoints: number;
  prompts: number;
  /** CPU seconds for all of them. */
  together: number;
  alone: number;
  ratio: number;
  /** Prompts whose tokens differ; expected: none. */
  different: number;
}

/** Four checkpoints of the tiny model, together and one at a time in turns. */
export async function evaluationBench(gpu: Gpu): Promise<EvaluationFigures> {
  const folder = readModelFolder(join(SHIPPED_DIR, 'tiny-chat'));
  const world = createWorld(folder.record.worldSeed);
  const rng = new Rng('bench/evaluation');
  const prompts = rng
    .shuffle([...evalForbidden(world, 'T'), ...evalBenign(world, 0)].map((item) => promptIds(item.prompt)))
    .slice(0, PROMPTS);
  const model = Model.create(gpu, folder.config, folder.tensors);
  const [together, alone] = await gpu.allocate(() =>
    [TOGETHER, 1].map((maxSeqs) => new Generator(model, { maxSeqs, maxLen: MAX_LENGTH })),
  );
  const weights = await model.params.read();
  const checkpoints = [
    weights,
    model.params.flatten(readModelFolder(join(SHIPPED_DIR, 'tiny-base')).tensors),
    ...[1, 2].map(() => weights.map((x) => x * (1 + NOISE * (rng.next() - 0.5)))),
  ];
  const spent = { together: 0, alone: 0 };
  const timed = async (kind: keyof typeof spent, generator: Generator): Promise<Answer[]> => {
    const before = process.cpuUsage();
    const answers = await answerRows(generator, prompts);
    const { user, system } = process.cpuUsage(before);
    spent[kind] += (user + system) / 1e6;
    return answers;
  };
  let different = 0;
  try {
    // What is compiled and allocated at the first call is no part of it.
    for (const generator of [together!, alone!]) await answerRows(generator, prompts.slice(0, 2));
    for (const checkpoint of checkpoints) {
      model.params.write(checkpoint);
      const [a, b] = [await timed('together', together!), await timed('alone', alone!)];
      different += a.filter((x, i) => x.ids.join() !== b[i]!.ids.join()).length;
    }
  } finally {
    together!.destroy();
    alone!.destroy();
    model.destroy();
  }
  return {
    checkpoints: checkpoints.length,
    prompts: prompts.length,
    together: round(spent.together),
    alone: round(spent.alone),
    ratio: round(spent.alone / spent.together),
    different,
  };
}
