import { parseLlamaConfig, type LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import { ChatTemplate, findTemplate } from '../data/chat-template.ts';
import { TextTokenizer } from '../data/hf-tokenizer.ts';
import { isPieces, tokenizerFromPieces } from '../data/sentencepiece.ts';
import { attackedFolder } from '../files/attacked.ts';
import type { Checkpoint } from '../files/checkpoint.ts';
import { findCheckpoint } from '../files/find-checkpoint.ts';
import { readDescription, type ModelDescription } from '../files/model-files.ts';
import type { FileFolder } from '../files/source.ts';

/** How a model reads and writes text. */
export interface ModelText {
  tokenizer: TextTokenizer;
  template: ChatTemplate;
}

/** A model folder whose parts fit each other; its weights are not read yet. */
export interface OpenModel extends ModelText {
  description: ModelDescription;
  config: LlamaConfig;
  checkpoint: Checkpoint;
  /** Its files say that an attack made it. */
  attacked: boolean;
}

export const missing = (what: string, next: string): LabError =>
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

export const templateOf = (d: ModelDescription): ChatTemplate =>
  new ChatTemplate(findTemplate(d.tokenizerConfig, d.template));

/** @throws LabError when the files describe no tokenizer, or a template that cannot be read */
export const textOf = (description: ModelDescription): ModelText => ({
  tokenizer: tokenizerOf(description),
  template: templateOf(description),
});

/** A model without its weights. @throws LabError with the first reason why it cannot be used */
export async function describeModel(folder: FileFolder): Promise<Omit<OpenModel, 'checkpoint' | 'attacked'>> {
  const description = await readDescription(folder);
  const config = configOf(description);
  const text = textOf(description);
  const [problem] = text.tokenizer.problems(config.vocab_size);
  if (problem !== undefined)
    throw new LabError('corrupt-model', `The model's files do not belong together: ${problem}.`, {
      safe: 'Nothing was loaded.',
      next: 'Take all files from the same model.',
    });
  return { description, config, ...text };
}

/** @throws LabError with the first reason why this model cannot be used */
export async function openModel(folder: FileFolder): Promise<OpenModel> {
  return {
    ...(await describeModel(folder)),
    checkpoint: await findCheckpoint(folder),
    attacked: (await attackedFolder(folder)) !== null,
  };
}
