import { inspectLlamaConfig, type LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import type { ChatTemplate } from '../data/chat-template.ts';
import type { TextTokenizer } from '../data/hf-tokenizer.ts';
import type { Checkpoint } from '../files/checkpoint.ts';
import { findCheckpoint } from '../files/find-checkpoint.ts';
import { readDescription, type ModelDescription } from '../files/model-files.ts';
import type { FileFolder } from '../files/source.ts';
import { tensorProblems } from '../model/hf.ts';
import { missing, templateOf, tokenizerOf } from '../worker/open-model.ts';

export { openModel, tokenizerOf, type OpenModel } from '../worker/open-model.ts';

/** What can be said of a folder although parts of it cannot be used, with every reason why. */
export interface Examined {
  description: ModelDescription | null;
  config: LlamaConfig | null;
  checkpoint: Checkpoint | null;
  tokenizer: TextTokenizer | null;
  template: ChatTemplate | null;
  unsupported: string[];
}

/** @throws LabError 'not-found' when the folder has neither config.json nor weights */
export async function examineModel(folder: FileFolder): Promise<Examined> {
  const unsupported: string[] = [];
  const attempt = async <T>(work: () => T | Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof LabError)) throw error;
      unsupported.push(error.message);
      return null;
    }
  };
  const description = await attempt(() => readDescription(folder));
  const checkpoint = await attempt(() => findCheckpoint(folder));
  if (!checkpoint && description?.config === undefined && !folder.has('config.json'))
    throw missing('config.json and no weights', "Open the folder of a model in Hugging Face's layout.");
  let config: LlamaConfig | null = null;
  if (description?.config === undefined) {
    if (description) unsupported.push('This folder has no config.json.');
  } else {
    const inspected = inspectLlamaConfig(description.config);
    config = inspected.config;
    unsupported.push(...inspected.problems.map((problem) => `config.json: ${problem}.`));
  }
  if (config && checkpoint)
    unsupported.push(...tensorProblems(config, checkpoint.tensors).map((problem) => `weights: ${problem}.`));
  const tokenizer = description && (await attempt(() => tokenizerOf(description)));
  if (tokenizer && config)
    unsupported.push(...tokenizer.problems(config.vocab_size).map((problem) => `${problem}.`));
  const template = description && (await attempt(() => templateOf(description)));
  return { description, config, checkpoint, tokenizer, template, unsupported };
}
