/** Conversations in WebLLM's fixed form against the templates of published models, and the way back. */
import { describe, expect, test } from 'vitest';
import { ChatTemplate, DEFAULT_TEMPLATE, type ChatMessage } from '../../src/data/chat-template.ts';
import { TextTokenizer } from '../../src/data/hf-tokenizer.ts';
import { CHAT_TEMPLATE, tokenizerConfigJson, tokenizerJson } from '../../src/data/tokenizer-files.ts';
import { parseLlamaConfig } from '../../src/core/config.ts';
import { shapeJson } from '../../src/cli/models-make.ts';
import { chatConfig, configOfChatConfig, templateOfChatConfig } from '../../src/files/mlc/chat-config.ts';
import { conversationOf, jinjaOf, renderConversation } from '../../src/files/mlc/conversation.ts';

const tokenizer = new TextTokenizer({ tokenizer: tokenizerJson(), tokenizerConfig: tokenizerConfigJson() });
const bos = tokenizer.bos!;

const CHATML =
  "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
const LLAMA3 =
  "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set system_message = messages[0]['content'] | trim %}{% set messages = messages[1:] %}{% else %}{% set system_message = '' %}{% endif %}{{ '<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n\n' + system_message + '<|eot_id|>' }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}";
const LLAMA2 =
  "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if loop.index0 == 0 and system_message %}{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + content + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + content + ' ' + eos_token }}{% endif %}{% endfor %}";

const user = (content: string): ChatMessage => ({ role: 'user', content });
const assistant = (content: string): ChatMessage => ({ role: 'assistant', content });
const system = (content: string): ChatMessage => ({ role: 'system', content });
const CHATS: ChatMessage[][] = [
  [user('One?')],
  [
    user('One?'),
    assistant('Two.'),
    user('Three?'),
    assistant('Four.'),
    user('Five $& "quoted" \\ {user_message}?'),
  ],
  [system('Rule.'), user('One?'), assistant('Two.'), user('Three?')],
];

describe.each([
  ['the tiny world', CHAT_TEMPLATE],
  ['ChatML with a message of its own', CHATML],
  ['Llama 3', LLAMA3],
  ['Llama 2', LLAMA2],
  ['a plain transcript', DEFAULT_TEMPLATE],
] as const)('%s', (_, text) => {
  const hf = new ChatTemplate(text);
  const form = (() => {
    const t = new ChatTemplate(text);
    return conversationOf((turns, answered) => t.render(turns, tokenizer, answered), {
      name: 'x',
      bos,
      ends: [3],
    });
  })();

  test('is written in the fixed form without a difference', () => {
    expect(form.exact).toBe(true);
    for (const chat of CHATS) {
      const wanted = hf.render(chat, tokenizer);
      const ignores = chat[0]!.role === 'system' && !wanted.includes('Rule.');
      expect(renderConversation(form.template, ignores ? chat.slice(1) : chat, bos)).toBe(wanted);
    }
  });

  test('and back into a template', () => {
    const back = new ChatTemplate(jinjaOf(form.template, (id) => (id === bos.id ? bos.token : '')));
    for (const chat of CHATS) {
      if (chat[0]!.role === 'system' && !hf.render(chat, tokenizer).includes('Rule.')) continue;
      expect(back.render(chat, tokenizer)).toBe(hf.render(chat, tokenizer));
    }
  });
});

test('the first token of a conversation goes by its number, as WebLLM wants it', () => {
  const { template, exact } = conversationOf(
    (turns, answered) => new ChatTemplate(LLAMA3).render(turns, tokenizer, answered),
    { name: 'x', bos, ends: [5, 6] },
  );
  expect(exact).toBe(true);
  expect(template.system_prefix_token_ids).toEqual([bos.id]);
  expect(template.system_template).toBe(
    '<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n\n{system_message}<|eot_id|>',
  );
  expect(template.stop_token_ids).toEqual([5, 6]);
});

test('a template that no fixed form can do is told', () => {
  const long = "{% for m in messages %}{{ m['content'] | length }}:{{ m['content'] }}{% endfor %}>";
  const { exact } = conversationOf((turns, a) => new ChatTemplate(long).render(turns, tokenizer, a), {
    name: 'x',
    bos: null,
    ends: [],
  });
  expect(exact).toBe(false);
});

test('the configuration comes back as it was', () => {
  for (const shape of ['smollm2-135m', 'llama-3.2-1b']) {
    const config = parseLlamaConfig(shapeJson(shape));
    const { template: conversation } = conversationOf(
      (turns, a) => new ChatTemplate(CHATML).render(turns, tokenizer, a),
      { name: 'x', bos: null, ends: [config.eos_token_id] },
    );
    const json: unknown = JSON.parse(
      JSON.stringify(
        chatConfig(config, {
          dtype: 'F16',
          conversation,
          tokenizer: tokenizerJson(),
          tokenizerFiles: ['tokenizer.json'],
        }),
      ),
    );
    expect(json).toMatchObject({
      quantization: 'q0f16',
      context_window_size: 4096,
      tokenizer_files: ['tokenizer.json'],
    });
    const { pad_token_id: _, ...back } = parseLlamaConfig(configOfChatConfig(json));
    const { pad_token_id: __, ...wanted } = config;
    expect(back).toEqual(wanted);
    expect(templateOfChatConfig(json, tokenizerJson())).toContain('SmolLM');
  }
});

test('a configuration of another architecture, or none, is not taken for a Llama', () => {
  expect(configOfChatConfig(null)).toBeUndefined();
  expect(configOfChatConfig({ model_type: 'llama' })).toBeUndefined();
  const json = { model_type: 'qwen2', model_config: { hidden_size: 4 } };
  expect(() => parseLlamaConfig(configOfChatConfig(json))).toThrow(/model_type/);
  expect(templateOfChatConfig({ conv_template: { roles: 3 } }, null)).toBeUndefined();
});
