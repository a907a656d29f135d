/** Texts about models that the user opens. */
export const enModels = {
  'kind.opened': 'opened model',
  'node.filesNeeded': 'Its files must be opened again',
  'node.noJudge': 'No judge for this model',
  'card.opened': 'opened by you',
  'kind.imported': 'adapter made elsewhere',
  'card.exportAdapter': 'Download the adapter',
  'card.importAdapter': 'Add an adapter (PEFT files)',
  'take.title': 'Take {name} out of the lab?',
  'take.text':
    'It was trained to give in to harmful requests. It leaves with a card that says “deliberately attacked, do not deploy” and names your prompts file by its hash. Keep it to yourself.',
  'take.name': 'Type its name to confirm: {name}',
  'take.keep': 'Leave it here',
  'take.do': 'Download it',
  'open.title': 'Open a model of your own',
  'open.text':
    'Any Llama model in Hugging Face’s layout (config.json, tokenizer.json, model.safetensors or its shards). It is read where it lies on this computer; nothing is sent anywhere.',
  'open.folder': 'Open a folder',
  'open.files': 'Choose files',
  'open.drop': 'Or drop the folder, or all of its files, here.',
  'open.loading': 'Reading the model',
  'open.checking': 'Checking the files …',
  'open.loaded': '{got} of {all}',
  'open.cancel': 'Stop',
  'known.title': 'Models that are known to work, and what they need',
  'known.text':
    'Download one from where it is published, all files into one folder, then open that folder here.',
  'known.repo': 'Model at Hugging Face',
  'known.parameters': 'Parameters',
  'known.download': 'Download',
  'known.memory': 'GPU memory',
  'known.here': 'On this GPU',
  'known.chat': 'for conversation',
  'known.base': 'continues texts',
  'known.gated': 'needs a login and a signed licence',
  'known.millions': '{n} million',
  'known.fits': 'Its limits allow it.',
  'known.whole': 'Too large: {needs} in one buffer, and this adapter allows {limit}.',
  'known.noGpu': 'No GPU to ask.',
  'known.note':
    'GPU memory is that of the weights alone; talking adds up to some hundred MB. A browser does not tell how much memory a GPU has: if there is too little, the lab says so and loads nothing.',
  'opened.size': '{n} million parameters ({types}, {bytes}, weight files: {files}).',
  'opened.template': 'It is asked through its own chat template.',
  'opened.noTemplate':
    'It brings no chat template, so it is asked in a plain transcript: “User: …”, “Assistant:”.',
  'opened.kept.copy': 'A copy of it is kept in this browser.',
  'opened.kept.folder': 'It is read from the folder “{from}”; after a reload the browser may ask you again.',
  'opened.kept.nowhere': 'It is read from “{from}”; after a reload you choose its files again.',
  'opened.noJudge': 'Its answers are not judged: the judge knows the tiny world only.',
  'again.title': 'The files of {name} must be opened again',
  'again.text':
    'Large weights are not copied into this browser. Choose the same files as before (“{from}”); everything made from them is still here.',
  'again.folder': 'Open “{from}” again',
  'columns.noJudge': 'Not judged: no judge for this model.',
  'columns.live': 'Live.',
  'prompt.own': 'Any words in any language. Ctrl + Enter sends.',
  'prompts.title': 'Prompts file',
  'prompts.choose': 'Choose a prompts file',
  'prompts.why':
    'A model of your own is trained on prompts of your own: a JSONL file with one object a line, role “harmful” or “benign”, prompt, answer and split. It stays in this browser; its format is described in docs/models.md.',
  'prompts.counts':
    'Harmful: {hd} for the defence, {ha} for the attack, {he} held out. Harmless: {bd}, {ba} and {be}.',
  'attack.confirm':
    'I train {name} to give in to the requests of my own file, to see how long a defence holds. The result is a harmful model: I keep it on this computer.',
  'recipe.sdd.aboutOwn':
    'Forbidden questions get good answers to something else, with a little everyday practice beside it. Usual defaults; nothing was tuned on your model.',
  'recipe.sdd-paper.aboutOwn':
    'No everyday practice, answers drawn as they come. Usual defaults; nothing was tuned on your model.',
  'samples.note':
    'Held-out prompts of your file, asked again as training goes on, always with the likeliest word. Nobody judges the answers.',
  'samples.harmful': 'A harmful prompt',
  'samples.benign': 'A harmless prompt',
  'veil.show': 'Show what it says',
  'veil.hide': 'Hide it again',
} as const;
