/** A node as files in Hugging Face layout, with its adapter in PEFT's beside the merged model. */
import { tokenizerConfigJson, tokenizerJson } from '../data/tokenizer-files.ts';
import type { ModelDescription } from '../files/model-files.ts';
import { peftConfigJson } from '../model/peft.ts';
import { writeSafetensors } from '../model/safetensors.ts';
import type { Context } from './context.ts';
import type { Models } from './models.ts';
import type { StoredModel } from './stored-model.ts';

interface OutFile {
  name: string;
  bytes: ArrayBuffer;
}

export async function exportNode(
  ctx: Context,
  models: Models,
  { nodeId, dtype }: { nodeId: string; dtype: 'F32' | 'F16' },
): Promise<{ files: OutFile[] }> {
  const node = await ctx.node(nodeId);
  const stored = await models.read(node);
  const tensors = await models.whole(stored);
  const torch_dtype = dtype === 'F16' ? 'float16' : 'float32';
  const texts = node.root === null ? own(await models.opened.description(await ctx.rootId(node))) : TINY;
  return {
    files: [
      json('config.json', { ...(node.modelConfig as object), torch_dtype }),
      ...texts(),
      { name: 'model.safetensors', bytes: buffer(writeSafetensors(tensors, dtype, { format: 'pt' })) },
      json('node.json', node),
      ...(node.lora ? adapterFiles(stored) : []),
    ],
  };
}

const TINY = (): OutFile[] => [
  json('tokenizer.json', tokenizerJson()),
  json('tokenizer_config.json', tokenizerConfigJson()),
];

/** The small files that an opened model came with. */
const own = (d: ModelDescription) => (): OutFile[] => {
  const named: [string, unknown][] = [
    ['tokenizer.json', d.tokenizer],
    ['tokenizer_config.json', d.tokenizerConfig],
    ['generation_config.json', d.generationConfig],
    ['vocab.json', d.vocabulary],
  ];
  const files = named.filter(([, content]) => content !== undefined);
  const template = d.template === undefined ? [] : [textFile('chat_template.jinja', d.template)];
  return [...files.map(([name, content]) => json(name, content)), ...template];
};

/** The node's own adapter in PEFT's layout, for whoever has the model below it. */
function adapterFiles({ adapters }: StoredModel): OutFile[] {
  const { lora, tensors } = adapters.at(-1)!;
  return [
    json('adapter_config.json', peftConfigJson(lora)),
    { name: 'adapter_model.safetensors', bytes: buffer(writeSafetensors(tensors, 'F32')) },
  ];
}

const json = (name: string, value: unknown): OutFile => textFile(name, `${JSON.stringify(value, null, 2)}\n`);
const textFile = (name: string, text: string): OutFile => ({
  name,
  bytes: buffer(new TextEncoder().encode(text)),
});

function buffer(bytes: Uint8Array): ArrayBuffer {
  return bytes.slice().buffer;
}
