import { CHAT_CONFIG, configOfChatConfig, templateOfChatConfig } from './mlc/chat-config.ts';
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
  const tokenizerConfig = await json('tokenizer_config.json');
  // what WebLLM keeps of a model: one file that says what three of the others would
  const chat = await json(CHAT_CONFIG);
  const bare = template === undefined && tokenizerConfig === undefined;
  return {
    config: (await json('config.json')) ?? configOfChatConfig(chat),
    generationConfig: await json('generation_config.json'),
    tokenizer,
    tokenizerConfig,
    template: template ? await readText(template) : bare ? templateOfChatConfig(chat, tokenizer) : undefined,
    vocabulary: tokenizer === undefined ? await json('vocab.json') : undefined,
  };
}
