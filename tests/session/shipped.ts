import { createHash } from 'node:crypto';
import { vi } from 'vitest';
import { parseLlamaConfig } from '../../src/core/config.ts';
import { tokenizerJson } from '../../src/data/tokenizer-files.ts';
import { writeSafetensors } from '../../src/model/safetensors.ts';
import { initTensors } from '../../src/recipes/tiny.ts';
import { STAND_IN } from '../support/stand-in.ts';

/**
 * Stands in for the server of the lab: a shipped model, smaller and with random weights.
 * @param seed of the weights that the lab ships today
 */
export function serveModels(seed = 1): void {
  const files = standIn(seed);
  vi.stubGlobal('fetch', (url: string) => {
    const body = files[url.split('/').at(-1)!];
    return Promise.resolve(body === undefined ? new Response(null, { status: 404 }) : new Response(body));
  });
}

/** Files of a shipped model's folder by name. */
export function standIn(seed = 1): Record<string, BodyInit> {
  const config = STAND_IN;
  const weights = writeSafetensors(initTensors(parseLlamaConfig(config), seed), 'F16');
  return {
    'config.json': JSON.stringify(config),
    'tokenizer.json': JSON.stringify(tokenizerJson()),
    'training.json': JSON.stringify({
      worldSeed: 0,
      weightsSha256: createHash('sha256').update(weights).digest('hex'),
    }),
    'model.safetensors': weights.slice().buffer,
  };
}
