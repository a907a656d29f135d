import { readFile } from 'node:fs/promises';
import { LabError } from '../core/errors.ts';
import { readPrompts, type Prompts } from '../data/prompts-file.ts';
import { worldPrompts } from '../data/world-prompts.ts';
import { createWorld } from '../world/world.ts';

/** A user's prompts, or with the name `tiny` those of the invented world. @throws LabError as readPrompts */
export async function openPrompts(name: string, worldSeed = 0): Promise<Prompts> {
  if (name === 'tiny') return readPrompts(new TextEncoder().encode(worldPrompts(createWorld(worldSeed))));
  try {
    return await readPrompts(new Uint8Array(await readFile(name)));
  } catch (cause) {
    if (cause instanceof LabError) throw cause;
    throw new LabError('not-found', `The prompts file ${name} cannot be read.`, {
      safe: 'Nothing was started.',
      next: 'Name a JSONL file as docs/models.md describes it, or "tiny" for the invented world.',
      cause,
    });
  }
}
