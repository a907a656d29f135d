/** Texts about models that travel to WebLLM and back. */
export const enBundles = {
  'bundle.title': 'MLC bundle (WebLLM)',
  'bundle.text':
    'The whole model in the format of WebLLM, which runs chat models in a browser. Adapters are folded in.',
  'bundle.type': 'Numbers',
  'bundle.type.F32': 'float32',
  'bundle.type.F16': 'float16',
  'bundle.type.BF16': 'float32, stored as bf16',
  'bundle.about.F32': 'Exact: every number as it was trained.',
  'bundle.about.F16': 'Half the size, rounded. It needs a GPU with shader-f16.',
  'bundle.about.BF16':
    'Half the size on the disk, rounded to 8 bits of precision: small steps of training are lost.',
  'bundle.files': 'Save as files',
  'bundle.folder': 'Write into a folder',
  'bundle.cache': 'Put into WebLLM’s cache',
  'bundle.runs': 'WebLLM runs it with the library of {stock}.',
  'bundle.runsNot':
    'No stock library of WebLLM runs this shape ({shapes} have one). The bundle can be written, but it needs a library that was compiled for it with mlc_llm.',
  'bundle.terminal': 'This browser cannot write folders. In a terminal:',
  'bundle.state.begin': 'Checking the model …',
  'bundle.state.hashing': 'Hashing: {got} of {all}',
  'bundle.state.writing': 'Writing: {got} of {all}',
  'bundle.state.checking': 'Reading back: {got} of {all}',
  'bundle.doing': 'Writing the bundle',
  'bundle.done.files': 'The bundle was saved.',
  'bundle.done.folder': 'Written to {folder}.',
  'bundle.done.cache':
    'In WebLLM’s cache, and read back without a difference: {size}. It is listed in Model, under “Models in WebLLM’s cache”.',
  'bundle.checked.library': 'Every name, shape and type is as WebLLM’s library lists it.',
  'bundle.checked.shape':
    'Checked against the published configuration; WebLLM has not fetched its library into this browser yet.',
  'bundle.inexact':
    'The model’s chat template cannot be written in WebLLM’s fixed form: answers there may differ from those here.',
  'webllm.title': 'Models in WebLLM’s cache',
  'webllm.text':
    'What WebLLM fetched in this browser, and bundles that you put there. Unquantised weights open as a base for training, and are read where they lie.',
  'webllm.own': 'from this lab',
  'webllm.open': 'Open as a base',
  'webllm.chat': 'Chat in WebLLM',
  'webllm.chat.text':
    'WebLLM answers with the bundle in Compare, in a column beside this checkpoint. The first load fetches the model library, where it is not in this browser yet; after that no connection is needed.',
  'webllm.delete': 'Delete',
  'webllm.quantised': 'Quantised: no base for training. Take the version with q0f16 or q0f32 in its name.',
  'webllm.incomplete': 'Not complete: no base for training until WebLLM has loaded it.',
  'webllm.damaged': 'Cannot be read: {why}',
} as const;
