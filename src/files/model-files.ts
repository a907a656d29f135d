import { readJson, readText, type FileFolder } from './source.ts';

/** The small files beside a model's weights, parsed; undefined where a file is not there. */
export interface ModelDescription {
  config: unknown;
  generationConfig: unknown;
  tokenizer: unknown;
  tokenizerConfig: unknown;
  /** chat_template.jinja */
  template: string | undefined;
  /** vocab.json, which llama2.c's models have instead of tokenizer.json and others beside it. */
  vocabulary: unknown;
}

/** @throws LabError as readJson on a file that is there and cannot be read */
export async function readDescription(folder: FileFolder): Promise<ModelDescription> {
  const json = async (name: string): Promise<unknown> => {
    const source = folder.get(name);
    return source && (await readJson(source));
  };
  const template = folder.get('chat_template.jinja');
  const tokenizer = await json('tokenizer.json');
  return {
    config: await json('config.json'),
    generationConfig: await json('generation_config.json'),
    tokenizer,
    tokenizerConfig: await json('tokenizer_config.json'),
    template: template && (await readText(template)),
    vocabulary: tokenizer === undefined ? await json('vocab.json') : undefined,
  };
}
