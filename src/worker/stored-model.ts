/** A node's weights between the store and the GPU: a whole model, or an adapter on top of the nodes above it. */
import { parseLlamaConfig, tensorShapes, type LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import type { Tensors } from '../core/types.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { Adapter, loraLayout, mergeLora, type LoraConfig } from '../model/lora.ts';
import { Model } from '../model/model.ts';
import type { Base } from './bases.ts';
import type { LabNode } from './protocol.ts';

/** Everything that a node's model is made from, but for the whole weights at its bottom. */
export interface StoredModel {
  config: LlamaConfig;
  /** The node that has whole weights. */
  bottom: LabNode;
  /** Adapters above them, in the order in which they were trained. */
  adapters: { lora: LoraConfig; tensors: Tensors }[];
}

/** Name and shape of every stored tensor, in the order of storing: no engine's layout shows. */
function shapesOf(config: LlamaConfig, lora?: LoraConfig): Map<string, readonly number[]> {
  return lora
    ? new Map(loraLayout(config, lora).entries.map((e) => [e.name, e.shape]))
    : tensorShapes(config);
}

/** How many numbers a node stores: all weights, or its adapter's. */
export function storedFloats(config: LlamaConfig, lora?: LoraConfig): number {
  const sizes = [...shapesOf(config, lora).values()].map((shape) => shape.reduce((a, b) => a * b, 1));
  return sizes.reduce((a, b) => a + b, 0);
}

/** Weights as they enter the store, without gaps. */
export function flatten(config: LlamaConfig, tensors: Tensors, lora?: LoraConfig): Float32Array {
  const parts = [...shapesOf(config, lora).keys()].map((name) => tensors.get(name)!.data);
  const flat = new Float32Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    flat.set(part, at);
    at += part.length;
  }
  return flat;
}

/** @throws LabError 'corrupt-model' when there are more or fewer numbers than the config asks for */
export function unflatten(config: LlamaConfig, flat: Float32Array, lora?: LoraConfig): Tensors {
  const tensors: Tensors = new Map();
  let at = 0;
  for (const [name, shape] of shapesOf(config, lora)) {
    const size = shape.reduce((a, b) => a * b, 1);
    tensors.set(name, { shape: [...shape], data: flat.subarray(at, at + size) });
    at += size;
  }
  if (at !== flat.length) {
    throw new LabError(
      'corrupt-model',
      `The stored weights hold ${flat.length} numbers; their config asks for ${at}.`,
      {
        safe: 'Nothing was changed.',
        next: 'Delete this checkpoint and train it again from its parent.',
      },
    );
  }
  return tensors;
}

/**
 * The node at the bottom of a line, which has whole weights, and those whose adapters stand on it, the lowest first. A node that
 * continued its parent's adapter stands in the parent's place.
 */
export async function lineOf(
  node: LabNode,
  get: (id: string) => Promise<LabNode>,
): Promise<{ bottom: LabNode; adapters: LabNode[] }> {
  const adapters: LabNode[] = [];
  let at = node;
  while (at.lora) {
    adapters.unshift(at);
    while (at.continues) at = await get(at.parentId!);
    at = await get(at.parentId!);
  }
  return { bottom: at, adapters };
}

/** Collects a node's adapters, down to the node that has whole weights. */
export async function readStored(
  node: LabNode,
  from: { node(id: string): Promise<LabNode>; weights(id: string): Promise<Float32Array> },
): Promise<StoredModel> {
  const config = parseLlamaConfig(node.modelConfig);
  const line = await lineOf(node, (id) => from.node(id));
  const adapters: StoredModel['adapters'] = [];
  for (const { id, lora } of line.adapters as { id: string; lora: LoraConfig }[])
    adapters.push({ lora, tensors: unflatten(config, await from.weights(id), lora) });
  return { config, bottom: line.bottom, adapters };
}

/** One set of whole weights: the adapters folded in. */
export function merged({ config, adapters }: StoredModel, tensors: Tensors): Tensors {
  return adapters.reduce((sum, { lora, tensors: own }) => mergeLora(config, sum, lora, own), tensors);
}

/**
 * A node's model on top of whole weights that are on the GPU. Call it within `Gpu.allocate`, so that a part that finds no room
 * leaves nothing behind; `destroy` also ends the hold on the weights.
 * @param gpu with the kernels that compute it
 * @param base of the node at the bottom, or, where all weights are trained, weights of its own with the adapters folded in
 * @param train what is about to be trained: a new adapter, the last of the node's own (`continues`), or all weights; absent: nothing
 */
export function buildModel(
  gpu: Gpu,
  stored: StoredModel,
  base: Base,
  train?: { lora: LoraConfig | null; seed: string; continues?: boolean | undefined },
): { model: Model; destroy(): void } {
  const { config } = stored;
  const fold = train?.lora === null;
  const adapters = (fold ? [] : stored.adapters).map(({ lora, tensors }) => {
    const adapter = new Adapter(gpu, config, lora);
    adapter.writeTensors(tensors);
    return adapter;
  });
  if (train?.lora && !train.continues) {
    const fresh = new Adapter(gpu, config, train.lora);
    fresh.initialise(train.seed);
    adapters.push(fresh);
  }
  const destroy = (): void => {
    for (const adapter of adapters) adapter.destroy();
    base.release();
  };
  return { model: base.model.on(gpu).with(...adapters), destroy };
}

/** What a run has trained, as it enters the store. */
export async function trainedWeights(model: Model): Promise<Float32Array> {
  const adapter = model.adapters.at(-1);
  return adapter
    ? flatten(model.config, await adapter.readTensors(), adapter.config)
    : flatten(model.config, await model.readTensors());
}
