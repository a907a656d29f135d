import { VOCABULARY, words } from '../world/words.ts';

/**
 * Chat template of the tiny world (Jinja): `<bos><user> PROMPT <asst> ANSWER <eos>`. Rendered and tokenized it gives
 * exactly the ids of `chat()`.
 */
export const CHAT_TEMPLATE =
  '{{ bos_token }}' +
  "{% for message in messages %}{% if message['role'] == 'user' %}<user> {{ message['content'] }} " +
  "{% elif message['role'] == 'assistant' %}<asst> {{ message['content'] }} {{ eos_token }}{% endif %}{% endfor %}" +
  '{% if add_generation_prompt %}<asst>{% endif %}';

/**
 * tokenizer.json. The model is WordPiece with whole words only and no continuation pieces, so that every word is one
 * token or `<unk>`: @huggingface/tokenizers 0.2.0 accepts a WordLevel model in silence and then answers undefined for
 * unknown words.
 */
export function tokenizerJson(): object {
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: words.specials.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: { type: 'Lowercase' },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'WordPiece', prefix: '##', cleanup: true },
        { type: 'Replace', pattern: { String: ' :' }, content: ':' },
      ],
    },
    model: {
      type: 'WordPiece',
      unk_token: '<unk>',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(VOCABULARY.map((word, id) => [word, id])),
    },
  };
}

/** tokenizer_config.json. */
export function tokenizerConfigJson(): object {
  return {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: '<bos>',
    eos_token: '<eos>',
    pad_token: '<pad>',
    unk_token: '<unk>',
    additional_special_tokens: ['<user>', '<asst>'],
    model_max_length: 128,
    padding_side: 'right',
    clean_up_tokenization_spaces: false,
    chat_template: CHAT_TEMPLATE,
  };
}
