import { describe, expect, it } from 'vitest';
import { nodeFolder } from '../../src/cli/models-files.ts';
import { ask } from '../../src/cli/models-run.ts';
import { sharedGpu } from '../support/page-gpu.ts';
import { parseLlamaConfig } from '../../src/core/config.ts';
import { openCheckpoint } from '../../src/files/checkpoint.ts';
import { readExactly } from '../../src/files/source.ts';
import { PRECISIONS } from '../../src/core/types.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { loadTensors, openWeights } from '../../src/model/hf.ts';
import { Model } from '../../src/model/model.ts';
import { caseDirOr, readJson } from './golden-dir.ts';

let opened: Promise<Gpu> | undefined;
const gpu = (): Promise<Gpu> => (opened ??= sharedGpu());

describe('a checkpoint read by slices', () => {
  it.for(['A_gqa_padded', 'C_tied_llama3rope_mqa', 'F_bf16', 'G_sharded'])(
    'is on the GPU what it is when read at once, bit for bit: case %s',
    async (name, { skip }) => {
      const dir = caseDirOr(skip, name, 'loading it by slices');
      const config = parseLlamaConfig(readJson(dir, 'config.json'));
      const checkpoint = await openCheckpoint(await nodeFolder(dir));
      const weights = await Promise.all(checkpoint.files.map((f) => readExactly(f, 0, f.size)));
      const before = (await gpu()).stats.bytes;
      for (const precision of PRECISIONS) {
        const tensors = loadTensors(config, { config, weights });
        const whole = Model.create(await gpu(), config, tensors, precision);
        const expected = await whole.readTensors();
        whole.destroy();
        if (precision === (name === 'F_bf16' ? 'bf16' : 'f32')) expect(expected).toEqual(tensors);
        for (const sliceBytes of [1000, undefined]) {
          const source = await openWeights(config, checkpoint, sliceBytes);
          const model = await Model.load(await gpu(), config, source, precision);
          expect(await model.readTensors()).toEqual(expected);
          model.destroy();
        }
      }
      expect((await gpu()).stats.bytes).toBe(before);
    },
  );

  it('leaves nothing on the GPU when a file ends in the middle, or a tensor is too large to bind', async ({
    skip,
  }) => {
    const dir = caseDirOr(skip, 'A_gqa_padded', 'loading a broken file');
    const config = parseLlamaConfig(readJson(dir, 'config.json'));
    const checkpoint = await openCheckpoint(await nodeFolder(dir));
    const before = (await gpu()).stats.bytes;
    const source = await openWeights(config, checkpoint);
    const broken = Model.load(await gpu(), config, {
      ...source,
      async *values(name) {
        if (name === 'model.norm.weight') throw new Error('the disk is gone');
        yield* source.values(name);
      },
    });
    await expect(broken).rejects.toThrow('the disk is gone');
    expect((await gpu()).stats.bytes).toBe(before);

    const force = { maxStorageBufferBindingSize: 4096 };
    const small = await sharedGpu(force);
    await expect(Model.load(small, config, source)).rejects.toThrow(
      /tensor \S+ takes at least \d+ bytes at once, .* reach 4096\./,
    );
    expect(small.stats.bytes).toBe(0);
  });
});

it('golden case R in words: asked in a terminal it gives its reference text', async ({ skip }) => {
  const dir = caseDirOr(skip, 'R_stories260k', 'generating its text');
  const folder = await nodeFolder(dir);
  const { cases } = readJson(dir, 'generation.json') as { cases: Record<string, string & number[]>[] };
  expect(cases).toHaveLength(3);
  for (const c of cases) {
    let streamed = '';
    const text = await ask(gpu, folder, {
      prompt: c.prompt_text!,
      maxTokens: (c.continuation_ids ?? c.long_continuation_ids)!.length,
      temperature: 0,
      seed: 0,
      raw: true,
      onText: (part) => (streamed += part),
      onNote: () => undefined,
    });
    expect(c.prompt_text! + text).toBe(c.text ?? c.long_text);
    expect(streamed).toBe(text);
  }
  const asked = {
    prompt: 'Tell me a story.',
    maxTokens: 12,
    temperature: 0.8,
    raw: false,
    onText: () => undefined,
  };
  const notes: string[] = [];
  const one = await ask(gpu, folder, { ...asked, seed: 1, onNote: (note) => notes.push(note) });
  expect(notes[0]).toMatch(/no chat template/);
  expect(notes[1]).toMatch(/matrices in f32/);
  // rounded to 16 bits where that is asked for
  const half = { ...asked, precision: 'bf16', seed: 1 } as const;
  await ask(gpu, folder, { ...half, onNote: (note) => notes.push(note) });
  expect(notes.at(-1)).toMatch(/matrices in bf16/);
  expect(await ask(gpu, folder, { ...asked, seed: 1, onNote: () => undefined })).toBe(one);
  await expect(
    ask(gpu, folder, { ...asked, prompt: 'x '.repeat(600), seed: 1, onNote: () => undefined }),
  ).rejects.toThrow(/has \d+ tokens, and the model has 512 positions/);
});
