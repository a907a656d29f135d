import { inspectLlamaConfig, parseLlamaConfig, type LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import { ChatTemplate, findTemplate } from '../data/chat-template.ts';
import { TextTokenizer } from '../data/hf-tokenizer.ts';
import { isPieces, tokenizerFromPieces } from '../data/sentencepiece.ts';
import { openCheckpoint, type Checkpoint } from '../files/checkpoint.ts';
import { readDescription, type ModelDescription } from '../files/model-files.ts';
import type { FileFolder } from '../files/source.ts';
import { tensorProblems } from '../model/hf.ts';

/** A model folder whose parts fit each other; its weights are not read yet. */
export interface OpenModel {
  config: LlamaConfig;
  checkpoint: Checkpoint;
  tokenizer: TextTokenizer;
  template: ChatTemplate;
}

const missing = (what: string, next: string): LabError =>
  new LabError('not-found', `This folder has no ${what}.`, { safe: 'Nothing was loaded.', next });

function configOf(description: ModelDescription): LlamaConfig {
  if (description.config === undefined)
    throw missing('config.json', "Open the folder of a model in Hugging Face's layout.");
  return parseLlamaConfig(description.config);
}

export function tokenizerOf(description: ModelDescription): TextTokenizer {
  const { vocabulary } = description;
  const tokenizer =
    description.tokenizer ?? (isPieces(vocabulary) ? tokenizerFromPieces(vocabulary) : undefined);
  if (tokenizer === undefined)
    throw missing(
      'tokenizer.json',
      'Take tokenizer.json and tokenizer_config.json from the source of the model.',
    );
  return new TextTokenizer({
    tokenizer,
    tokenizerConfig: description.tokenizerConfig,
    generationConfig: description.generationConfig,
    modelConfig: description.config,
  });
}

const templateOf = (d: ModelDescription): ChatTemplate =>
  new ChatTemplate(findTemplate(d.tokenizerConfig, d.template));

/** @throws LabError with the first reason why this model cannot be used */
export async function openModel(folder: FileFolder): Promise<OpenModel> {
  const description = await readDescription(folder);
  const config = configOf(description);
  const tokenizer = tokenizerOf(description);
  const [problem] = tokenizer.problems(config.vocab_size);
  if (problem !== undefined)
    throw new LabError('corrupt-model', `The model's files do not belong together: ${problem}.`, {
      safe: 'Nothing was loaded.',
      next: 'Take all files from the same model.',
    });
  return { config, checkpoint: await openCheckpoint(folder), tokenizer, template: templateOf(description) };
}

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
  const checkpoint = await attempt(() => openCheckpoint(folder));
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
