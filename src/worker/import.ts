/** An adapter in PEFT's layout as a node under the model that it belongs to. */
import { parseLlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import { attackedMark } from '../files/attacked.ts';
import { readExactly, readJson } from '../files/source.ts';
import { parsePeftConfig, readPeftTensors } from '../model/peft.ts';
import { ENGINE_VERSION, type Context } from './context.ts';
import { folderOf } from './model-source.ts';
import type { LabNode, LocalSource } from './protocol.ts';
import { flatten } from './stored-model.ts';

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
/** Of the files that may say that an attack made it. */
const MARK_BYTES = 2 ** 20;

/** @throws LabError naming what is missing, or does not fit the model */
export async function importAdapter(
  ctx: Context,
  { nodeId, source }: { nodeId: string; source: LocalSource },
): Promise<LabNode> {
  const parent = await ctx.node(nodeId);
  const folder = await folderOf(source);
  const [settings, weights] = [folder.get(CONFIG), folder.get(WEIGHTS)];
  if (!settings || !weights) throw missing(settings ? WEIGHTS : CONFIG);
  const config = parseLlamaConfig(parent.modelConfig);
  const lora = parsePeftConfig(await readJson(settings));
  const tensors = readPeftTensors(config, lora, await readExactly(weights, 0, weights.size));
  const told = async (file: string): Promise<string> => {
    const found = folder.get(file);
    return found
      ? new TextDecoder().decode(await readExactly(found, 0, Math.min(found.size, MARK_BYTES)))
      : '';
  };
  const attacked = attackedMark(await told('README.md'), await told('node.json')) !== null;
  const name = (source.kind === 'folder' ? source.handle.name : source.name).trim().slice(0, 80);
  const node = await ctx.store.addNode(
    {
      id: crypto.randomUUID(),
      parentId: parent.id,
      name: name || 'adapter',
      kind: 'imported',
      recipe: null,
      settings: {},
      seeds: parent.seeds,
      steps: 0,
      runId: null,
      dataDigest: '',
      adapter: null,
      engineVersion: ENGINE_VERSION,
      kernelTable: null,
      lora,
      ...(attacked && { attacked }),
      modelConfig: parent.modelConfig,
      root: parent.root,
      createdAt: Date.now(),
    },
    flatten(config, tensors, lora),
  );
  ctx.notify({ type: 'node', node });
  return node;
}

function missing(file: string): LabError {
  return new LabError('not-found', `This folder has no ${file}.`, {
    safe: 'Nothing was loaded.',
    next: "Choose the folder of an adapter in PEFT's layout: adapter_config.json and adapter_model.safetensors.",
  });
}
