/** The small files of an MLC bundle: what WebLLM reads beside the weights, and what opens the bundle as a model again. */
import type { LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import type { Dtype } from '../files/dtypes.ts';
import { CHAT_CONFIG, chatConfig } from '../files/mlc/chat-config.ts';
import { conversationOf } from '../files/mlc/conversation.ts';
import type { ModelDescription } from '../files/model-files.ts';
import type { ChatTemplate } from './chat-template.ts';
import type { TextTokenizer } from './hf-tokenizer.ts';

const TORCH = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;

/**
 * @param o.dtype of the weights in the bundle
 * @returns `exact`: WebLLM will speak to the model as this lab does; otherwise its template does what no fixed form can
 * @throws LabError 'bad-input' where the model has no tokenizer that WebLLM can read
 */
export function mlcCompanions(
  config: LlamaConfig,
  description: Pick<
    ModelDescription,
    'config' | 'tokenizer' | 'tokenizerConfig' | 'generationConfig' | 'template'
  >,
  o: { dtype: Dtype; tokenizer: TextTokenizer; template: ChatTemplate },
): { files: { name: string; text: string }[]; exact: boolean } {
  if (description.tokenizer === undefined)
    throw new LabError(
      'bad-input',
      'This model has no tokenizer.json, and WebLLM reads no other tokenizer.',
      {
        safe: 'Nothing was written.',
        next: "Take it along in Hugging Face's layout instead.",
      },
    );
  const { tokenizer, template } = o;
  const { template: conversation, exact } = conversationOf(
    // a date in a template would make it another one each day
    (turns, answered) => template.render(turns, tokenizer, answered, new Date(0)),
    { name: 'sdd-lab', bos: tokenizer.bos, ends: tokenizer.ends },
  );
  const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
  const texts: [string, unknown][] = [
    ['tokenizer.json', description.tokenizer],
    ['tokenizer_config.json', description.tokenizerConfig],
    ['generation_config.json', description.generationConfig],
    ['config.json', { ...(description.config as object), torch_dtype: TORCH[o.dtype] }],
  ];
  const files = texts.filter(([, value]) => value !== undefined);
  const tokenizerFiles = files.map(([name]) => name).filter((name) => name.startsWith('tokenizer'));
  return {
    files: [
      ...files.map(([name, value]) => ({ name, text: json(value) })),
      ...(description.template === undefined
        ? []
        : [{ name: 'chat_template.jinja', text: description.template }]),
      {
        name: CHAT_CONFIG,
        text: json(
          chatConfig(config, {
            dtype: o.dtype,
            conversation,
            tokenizer: description.tokenizer,
            tokenizerFiles,
          }),
        ),
      },
    ],
    exact,
  };
}
