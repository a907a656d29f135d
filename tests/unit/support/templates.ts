/** As in the tokenizer_config.json of SmolLM2-Instruct. */
const SMOLLM2 = {
  bos_token: '<|im_start|>',
  eos_token: '<|im_end|>',
  chat_template:
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
};
/** As in that of TinyLlama-1.1B-Chat. */
const TINYLLAMA = {
  bos_token: '<s>',
  eos_token: { content: '</s>' },
  chat_template:
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
};
export const CONFIGS = { smollm2: SMOLLM2, tinyllama: TINYLLAMA };

/** Turns with an end each, in the words of the tiny vocabulary. */
export const CHATML =
  "{% for m in messages %}<user>{{ m['role'] }} : {{ m['content'] | trim }}<eos>{% endfor %}" +
  '{% if add_generation_prompt %}<user>assistant : {% endif %}';
