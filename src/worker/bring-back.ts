/** What was trained or answered elsewhere: an adapter in PEFT's layout as a node under its model, and answers of a handoff. */
import { parseLlamaConfig } from '../core/config.ts';
import * as v from 'valibot';
import { LabError } from '../core/errors.ts';
import { parsePrompts } from '../data/prompts-file.ts';
import { attackedFolder, NODE_FILE } from '../files/attacked.ts';
import { readExactly, readJson, readText, type FileFolder } from '../files/source.ts';
import { loraLayout } from '../model/lora.ts';
import { parsePeftConfig, readPeftTensors } from '../model/peft.ts';
import {
  ANSWER_FILES,
  parseHandoffRun,
  readResults,
  RUN_FILE,
  type HandoffResults,
  type HandoffRun,
} from '../recipes/handoff/results.ts';
import { ENGINE_VERSION, type Context } from './context.ts';
import type { Looks } from './looks.ts';
import { folderOf } from './model-source.ts';
import type { LabNode, LocalSource, PromptsRef } from './protocol.ts';
import { flatten } from './stored-model.ts';

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
/** Of the header of a file of weights. */
const HEADER_BYTES = 2 ** 20;

/** What came back, read and found to belong together; nothing of it is stored yet. */
interface Returned {
  run: HandoffRun | null;
  results: HandoffResults | null;
  prompts: PromptsRef | null;
}

/** @throws LabError naming what is missing, or does not fit the model or its prompts file; nothing is stored then */
export async function bringBack(
  ctx: Context,
  looks: Looks,
  { nodeId, source }: { nodeId: string; source: LocalSource },
): Promise<LabNode> {
  const given = await ctx.node(nodeId);
  const folder = await folderOf(source);
  const back = await returned(ctx, folder);
  const adapter = folder.has(CONFIG) || folder.has(WEIGHTS);
  if (!adapter && !back.results) throw missing(CONFIG);
  if (!adapter && back.results!.trained && back.run!.settings.method === 'lora') throw missing(CONFIG);
  const node = adapter ? await addAdapter(ctx, given, folder, source, back.run) : given;
  const { results, prompts, run } = back;
  if (results?.trained) await looks.keep(node.id, prompts!, results.trained, run!.baseModel);
  // Without an adapter the given node is what was trained, and the base model is another one.
  if (results?.base && (adapter || !results.trained))
    await looks.keep(given.id, prompts!, results.base, run!.baseModel);
  return ctx.node(node.id);
}

async function returned(ctx: Context, folder: FileFolder): Promise<Returned> {
  const file = folder.get(RUN_FILE);
  if (!file) return { run: null, results: null, prompts: null };
  const files = new Map([[RUN_FILE, await readText(file)]]);
  const run = parseHandoffRun(files.get(RUN_FILE)!);
  for (const name of Object.values(ANSWER_FILES)) {
    const answers = folder.get(name);
    if (answers) files.set(name, await readText(answers));
  }
  if (files.size === 1) return { run, results: null, prompts: null };
  const kept = await ctx.store.prompts(run.promptsSha256);
  if (!kept) throw otherPrompts(run);
  const results = readResults(files, parsePrompts(kept.text, kept.id));
  return { run, results, prompts: { id: kept.id, name: kept.name } };
}

async function addAdapter(
  ctx: Context,
  parent: LabNode,
  folder: FileFolder,
  source: LocalSource,
  run: HandoffRun | null,
): Promise<LabNode> {
  const [settings, weights] = [folder.get(CONFIG), folder.get(WEIGHTS)];
  if (!settings || !weights) throw missing(settings ? WEIGHTS : CONFIG);
  const config = parseLlamaConfig(parent.modelConfig);
  const lora = parsePeftConfig(await readJson(settings));
  const most = loraLayout(config, lora).length * 4 + HEADER_BYTES;
  if (weights.size > most) throw tooLarge(weights.size, most);
  const tensors = readPeftTensors(config, lora, await readExactly(weights, 0, weights.size));
  const attacked = run?.attacked === true || (await attackedFolder(folder)) !== null;
  const made = run ? madeBy(run) : await madeHere(folder);
  const name = (source.kind === 'folder' ? source.handle.name : source.name).trim().slice(0, 80);
  const node = await ctx.store.addNode(
    {
      id: crypto.randomUUID(),
      parentId: parent.id,
      name: made?.name || name || run?.recipe || 'adapter',
      kind: 'imported',
      recipe: made?.recipe ?? null,
      settings: made?.settings ?? {},
      seeds: made?.seeds ?? parent.seeds,
      steps: made?.steps ?? 0,
      runId: null,
      dataDigest: '',
      adapter: null,
      engineVersion: ENGINE_VERSION,
      kernelTable: null,
      lora,
      ...(attacked && { attacked }),
      ...(run && { trainedOn: run.baseModel }),
      modelConfig: parent.modelConfig,
      root: parent.root,
      createdAt: Date.now(),
    },
    flatten(config, tensors, lora),
  );
  ctx.notify({ type: 'node', node });
  return node;
}

/** How an adapter was made, as far as its files tell. */
type Made = Pick<LabNode, 'recipe' | 'settings' | 'steps'> & Partial<Pick<LabNode, 'name' | 'seeds'>>;

const madeBy = ({ recipe, settings }: HandoffRun): Made => ({
  recipe,
  settings,
  steps: typeof settings.steps === 'number' ? settings.steps : 0,
});

const nodeSchema = v.object({
  name: v.pipe(v.string(), v.trim(), v.nonEmpty(), v.maxLength(80)),
  recipe: v.nullable(v.string()),
  settings: v.record(v.string(), v.union([v.string(), v.number(), v.boolean()])),
  steps: v.pipe(v.number(), v.integer(), v.minValue(0)),
  seeds: v.object({ world: v.number(), defence: v.number(), attack: v.number() }),
});

/** node.json of this lab; null where there is none, or it is somebody else's. */
async function madeHere(folder: FileFolder): Promise<Made | null> {
  const file = folder.get(NODE_FILE);
  if (!file) return null;
  const parsed = v.safeParse(nodeSchema, await readJson(file));
  return parsed.success ? parsed.output : null;
}

function missing(file: string): LabError {
  return new LabError('not-found', `This folder has no ${file}.`, {
    safe: 'Nothing was loaded.',
    next: `Choose all files of out/: ${CONFIG} and ${WEIGHTS}, and of a handoff ${RUN_FILE} and its answers too.`,
  });
}

function tooLarge(bytes: number, most: number): LabError {
  return new LabError('bad-input', `${WEIGHTS} has ${bytes} bytes; this adapter has ${most} at most.`, {
    safe: 'Nothing was loaded.',
    next: 'Take both files from the same adapter.',
  });
}

function otherPrompts({ promptsSha256 }: HandoffRun): LabError {
  return new LabError('not-found', 'The prompts file that this run was made from is not in this browser.', {
    safe: 'Nothing was loaded.',
    next: `Choose it in Defend or Attack first; its SHA-256 is ${promptsSha256}.`,
  });
}
