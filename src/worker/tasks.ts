/** What runs draw their examples from: the tiny world, or a prompts file that the user has chosen for a model of their own. */
import { LabError } from '../core/errors.ts';
import { chatCodec } from '../data/chat-codec.ts';
import { fileTask } from '../data/file-task.ts';
import { builtFor, type BuiltFor } from '../data/pairs/manifest.ts';
import { parsePrompts, readPrompts, type Prompts } from '../data/prompts-file.ts';
import type { Task } from '../data/task.ts';
import { tinyTask } from '../data/tiny-task.ts';
import { RECIPES } from '../recipes/index.ts';
import { settle } from '../recipes/recipe.ts';
import type { Context } from './context.ts';
import type { Models } from './models.ts';
import { ownProbes } from './own-probes.ts';
import { makeProbes, type Probes } from './probes.ts';
import type { LabNode, NodeKind, PromptsInfo, RecipeInfo, Settings } from './protocol.ts';

/** Longest row of an opened model where its user chose none: activations of a batch grow with it. */
const ROW_TOKENS = 256;

export class Tasks {
  #ctx: Context;
  #models: Models;

  constructor(ctx: Context, models: Models) {
    this.#ctx = ctx;
    this.#models = models;
  }

  /** @param context longest row of an opened model @throws LabError 'bad-input' when an opened model is to be trained without a prompts file */
  async of(node: LabNode, promptsId?: string, context = ROW_TOKENS): Promise<Task> {
    if (node.root !== null) return tinyTask(this.#ctx.world(node.seeds.world));
    if (promptsId === undefined) throw noData(node.name);
    const text = await this.#models.opened.text(await this.#ctx.rootId(node));
    const positions = (node.modelConfig as { max_position_embeddings?: number }).max_position_embeddings;
    const maxTokens = Math.min(context, positions ?? ROW_TOKENS);
    const { prompts, built } = await this.#prompts(promptsId);
    return fileTask(prompts, chatCodec({ ...text, maxTokens }), built);
  }

  probes(node: LabNode, task: Task, kind: NodeKind): Probes {
    return task.kind === 'tiny' ? makeProbes(this.#ctx.world(node.seeds.world), kind) : ownProbes(task, kind);
  }

  async #prompts(id: string): Promise<{ prompts: Prompts; built: BuiltFor | null }> {
    const stored = await this.#ctx.store.prompts(id);
    if (stored) return { prompts: parsePrompts(stored.text, id), built: builtFor(stored.manifest) };
    throw new LabError('not-found', 'This prompts file is not kept in this browser any more.', {
      safe: 'Nothing was started.',
      next: 'Choose the prompts file again.',
    });
  }

  /**
   * Checks a prompts file and keeps it in this browser.
   * @param manifest where it comes from, of a file that the lab built
   * @throws LabError 'bad-input' naming every bad line
   */
  async keep(name: string, file: Blob, manifest?: string): Promise<PromptsInfo> {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const prompts = await readPrompts(bytes);
    const from = manifest ?? (await this.#ctx.store.prompts(prompts.sha256))?.manifest;
    await this.#ctx.store.setPrompts({
      id: prompts.sha256,
      name,
      text: new TextDecoder().decode(bytes),
      ...(from !== undefined && { manifest: from }),
    });
    return infoOf(name, prompts, builtFor(from));
  }

  async list(): Promise<PromptsInfo[]> {
    const all = await this.#ctx.store.allPrompts();
    return all.map(({ id, name, text, manifest }) =>
      infoOf(name, parsePrompts(text, id), builtFor(manifest)),
    );
  }

  /** The recipes with the defaults that suit a node and its prompts. */
  async recipes(nodeId?: string, promptsId?: string): Promise<RecipeInfo[]> {
    const node = nodeId === undefined ? null : await this.#ctx.node(nodeId);
    if (!node || node.root !== null) return RECIPES.map((recipe) => infoOfRecipe(recipe));
    const task = await this.of(node, promptsId);
    return RECIPES.map((recipe) => infoOfRecipe(recipe, task));
  }
}

function infoOfRecipe(recipe: (typeof RECIPES)[number], task?: Task): RecipeInfo {
  const method: Settings = task ? { method: 'lora' } : {};
  const full = task?.defaults(recipe.id, false);
  const lora = task?.defaults(recipe.id, true);
  return {
    id: recipe.id,
    kind: recipe.kind,
    settings: recipe.settings.map((field) => ({
      ...field,
      ...(full && field.key in full && { default: full[field.key]!, beside: undefined }),
      ...(lora && field.key in lora && { loraDefault: lora[field.key]! }),
      ...(task && field.key === 'method' && { default: 'lora' }),
    })),
    ...(recipe.startsFrom && { startsFrom: recipe.startsFrom }),
    steps: recipe.plan(settle(recipe, method, task)).steps,
    continuable: recipe.continuable,
  };
}

function infoOf(
  name: string,
  { sha256: id, harmful, benign, refusals, notes }: Prompts,
  built: BuiltFor | null,
): PromptsInfo {
  const counts = (of: Prompts['harmful'] | Prompts['benign']) => ({
    defence: of.defence.length,
    attack: of.attack.length,
    eval: of.eval.length,
  });
  return {
    id,
    name,
    harmful: counts(harmful),
    benign: counts(benign),
    refusals: refusals.length,
    notes: [...notes],
    built,
  };
}

/** The recipes' own examples are written in the words of the tiny world. */
function noData(name: string): LabError {
  return new LabError('bad-input', `There are no training examples for '${name}' yet.`, {
    safe: 'Nothing was started.',
    next: 'Choose a prompts file of your own in Defend or Attack.',
  });
}
