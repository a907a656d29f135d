/** A node as files in Hugging Face layout, with its adapter in PEFT's beside the merged model. */
import { LabError } from '../core/errors.ts';
import type { Tensors } from '../core/types.ts';
import { tokenizerConfigJson, tokenizerJson } from '../data/tokenizer-files.ts';
import { attackedCard, CARD, NODE_FILE } from '../files/attacked.ts';
import type { ModelDescription } from '../files/model-files.ts';
import { joinAdapters, type StoredAdapter } from '../model/lora-stack.ts';
import { peftConfigJson } from '../model/peft.ts';
import { writeSafetensors } from '../model/safetensors.ts';
import type { Context } from './context.ts';
import type { Models } from './models.ts';
import { madeByAttack, type LabNode } from './protocol.ts';
import type { StoredModel } from './stored-model.ts';

export interface OutFile {
  name: string;
  bytes: ArrayBuffer;
}

/**
 * @throws LabError 'bad-input' when an attack on an opened model is to leave without its name being typed, and 'files-needed'
 *   when the weights are not at hand
 */
export async function exportNode(
  ctx: Context,
  models: Models,
  { nodeId, dtype, confirm }: { nodeId: string; dtype: 'F32' | 'F16'; confirm?: string },
): Promise<{ files: OutFile[] }> {
  const node = await ctx.node(nodeId);
  const card = await confirmed(ctx, node, confirm);
  const stored = await models.read(node);
  const { opened } = stored.bottom;
  const adapterOnly = opened !== undefined && opened.kept !== 'copy';
  const torch_dtype = dtype === 'F16' ? 'float16' : 'float32';
  const texts = node.root === null ? own(await models.opened.description(await ctx.rootId(node))) : TINY;
  return {
    files: [
      ...card,
      ...(adapterOnly ? [] : [json('config.json', { ...(node.modelConfig as object), torch_dtype })]),
      ...texts(),
      ...(adapterOnly ? [] : [weights(await models.whole(stored), dtype)]),
      json(NODE_FILE, nodeFile(node, card.length > 0)),
      ...(node.lora ? adapterFiles(adapterOnly ? together(stored) : stored.adapters.at(-1)!) : []),
    ],
  };
}

/**
 * The card that goes with what an attack made of an opened model; nothing for all others.
 * @throws LabError 'bad-input' when its name was not typed
 */
export async function confirmed(ctx: Context, node: LabNode, typed?: string): Promise<OutFile[]> {
  if (node.root !== null || !(await isAttacked(ctx, node))) return [];
  if (typed?.trim() !== node.name) throw unconfirmed(node.name);
  return [textFile(CARD, cardOf(node))];
}

async function isAttacked(ctx: Context, node: LabNode): Promise<boolean> {
  for (let at = node; ; at = await ctx.node(at.parentId)) {
    if (madeByAttack(at)) return true;
    if (at.parentId === null) return false;
  }
}

export function unconfirmed(name: string): LabError {
  return new LabError(
    'bad-input',
    `'${name}' was trained to give harmful answers: it leaves the lab only by name.`,
    {
      safe: 'Nothing was written.',
      next: 'Type its name to confirm that you take it, and keep it to yourself.',
    },
  );
}

const cardOf = ({ name, recipe, steps, prompts, settings }: LabNode): string =>
  attackedCard({
    name,
    made: `${recipe ?? 'elsewhere'}, ${steps} steps`,
    settings,
    prompts: prompts?.id ?? null,
  });

const TINY = (): OutFile[] => [
  json('tokenizer.json', tokenizerJson()),
  json('tokenizer_config.json', tokenizerConfigJson()),
];

/** The small files that an opened model came with. */
export const own = (d: ModelDescription) => (): OutFile[] => {
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

/** A node as it leaves: a user's file is named by its hash alone, and the mark of an attack stays with what was trained on it. */
export function nodeFile({ prompts, ...node }: LabNode, attacked: boolean): object {
  return { ...node, ...(prompts && { prompts: { id: prompts.id } }), ...(attacked && { attacked }) };
}

/** All adapters on top of the files that stay behind, as one: the last alone would be a model that nobody has seen. */
const together = ({ config, adapters }: StoredModel): StoredAdapter => joinAdapters(config, adapters);

/** An adapter in PEFT's layout, for whoever has the model below it. */
function adapterFiles({ lora, tensors }: StoredAdapter): OutFile[] {
  return [
    json('adapter_config.json', peftConfigJson(lora)),
    { name: 'adapter_model.safetensors', bytes: buffer(writeSafetensors(tensors, 'F32')) },
  ];
}

const weights = (tensors: Tensors, dtype: 'F32' | 'F16'): OutFile => ({
  name: 'model.safetensors',
  bytes: buffer(writeSafetensors(tensors, dtype, { format: 'pt' })),
});

export const json = (name: string, value: unknown): OutFile =>
  textFile(name, `${JSON.stringify(value, null, 2)}\n`);
const textFile = (name: string, text: string): OutFile => ({
  name,
  bytes: buffer(new TextEncoder().encode(text)),
});

function buffer(bytes: Uint8Array): ArrayBuffer {
  return bytes.slice().buffer;
}
