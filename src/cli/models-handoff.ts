import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { LabError } from '../core/errors.ts';
import type { Settings } from '../core/settings.ts';
import { chatCodec } from '../data/chat-codec.ts';
import { fileTask } from '../data/file-task.ts';
import { handoff } from '../recipes/handoff/index.ts';
import { recipe } from '../recipes/index.ts';
import { settle } from '../recipes/recipe.ts';
import { nodeFolder } from './models-files.ts';
import { openModel } from './models-open.ts';
import { openPrompts } from './prompts.ts';

export interface HandoffCommand {
  recipe: string;
  prompts: string;
  base: string;
  gpus: number;
  method: string;
  seed: number;
  maxNewTokens: number;
  attack: boolean;
}

/** Context of the model that a handoff is for by default, Llama-2. */
const MAX_LENGTH = 1024;

/** @returns the paths written. @throws LabError as handoff, and when the folder holds something */
export async function writeHandoff(dir: string, out: string, o: HandoffCommand): Promise<string[]> {
  const { tokenizer, template } = await openModel(await nodeFolder(dir));
  const prompts = await openPrompts(o.prompts);
  const task = fileTask(prompts, chatCodec({ tokenizer, template, maxTokens: MAX_LENGTH }));
  const own: Settings = { method: o.method };
  const wanted = recipe(o.recipe);
  const files = handoff({
    recipe: wanted,
    task,
    settings: settle(wanted, own, task),
    seed: o.seed,
    place: { base: o.base, gpus: o.gpus, maxLength: MAX_LENGTH },
    maxNewTokens: o.maxNewTokens,
    attack: o.attack,
  });
  if (existsSync(out) && (await readdir(out)).length > 0)
    throw new LabError('bad-input', `${out} is not empty.`, {
      safe: 'Nothing was written.',
      next: 'Name a new folder.',
    });
  for (const { path, text } of files) {
    await mkdir(dirname(join(out, path)), { recursive: true });
    await writeFile(join(out, path), text);
  }
  return files.map((f) => f.path);
}
