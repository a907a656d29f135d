import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convertModel, readAdapterFolder, writePeft } from '../../src/cli/models-convert.ts';
import { nodeFolder } from '../../src/cli/models-files.ts';
import { sharedGpu } from '../support/page-gpu.ts';
import { parseLlamaConfig, type LlamaConfig } from '../../src/core/config.ts';
import type { Batch } from '../../src/core/types.ts';
import { openCheckpoint } from '../../src/files/checkpoint.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { openWeights } from '../../src/model/hf.ts';
import { Adapter, mergeLora, type LoraConfig } from '../../src/model/lora.ts';
import { Model } from '../../src/model/model.ts';
import { readSafetensors } from '../../src/model/safetensors.ts';
import { Trainer } from '../../src/train/trainer.ts';
import { caseDirOr, readJson } from './golden-dir.ts';

let opened: Promise<Gpu> | undefined;
const gpu = (): Promise<Gpu> => (opened ??= sharedGpu());
const OPTIM = { betas: [0.9, 0.99] as const, eps: 1e-8, weight_decay: 0, clip: 0 };
const ids = [1, 5, 9, 2, 7, 3, 11, 4];
const batch: Batch = [{ ids, labels: ids }];

async function load(dir: string): Promise<{ model: Model; config: LlamaConfig }> {
  const config = parseLlamaConfig(readJson(dir, 'config.json'));
  const source = await openWeights(config, await openCheckpoint(await nodeFolder(dir)));
  return { model: await Model.load(await gpu(), config, source), config };
}

async function logitsOf(model: Model): Promise<Float32Array> {
  const trainer = new Trainer(model, OPTIM, { maxTokens: 16, maxLabels: 16 });
  const [logits] = await trainer.logits(batch);
  trainer.destroy();
  return logits!;
}

const inFolder = async (use: (dir: string) => Promise<void>): Promise<void> => {
  const dir = mkdtempSync(join(tmpdir(), 'sdd-convert-'));
  try {
    await use(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};
const F32 = { dtype: 'F32' as const, adapters: [] as string[] };

describe('models -- convert', () => {
  it.for(['A_gqa_padded', 'C_tied_llama3rope_mqa', 'F_bf16', 'G_sharded'])(
    'hf: %s written anew, in one file or in many, gives identical logits',
    async (name, { skip }) => {
      const dir = caseDirOr(skip, name, 'converting it');
      const { model } = await load(dir);
      const expected = await logitsOf(model);
      model.destroy();
      for (const shardBytes of [undefined, 40_000])
        await inFolder(async (out) => {
          const written = await convertModel(dir, out, {
            ...F32,
            to: 'hf',
            ...(shardBytes && { shardBytes }),
          });
          expect(written.every((file) => existsSync(join(out, file)))).toBe(true);
          const shards = readdirSync(out).filter((f) => f.endsWith('.safetensors'));
          if (shardBytes === undefined) expect(shards).toEqual(['model.safetensors']);
          else {
            const total = String(shards.length).padStart(5, '0');
            expect(shards.length).toBeGreaterThan(1);
            expect(shards[0]).toBe(`model-00001-of-${total}.safetensors`);
          }
          const { model: again } = await load(out);
          expect(await logitsOf(again)).toEqual(expected);
          again.destroy();
        });
    },
  );

  it('hf: golden D with its adapter folded in is the merged model of the case, and reloads bit for bit', async ({
    skip,
  }) => {
    const dir = caseDirOr(skip, 'D_lora', 'merging its adapter');
    await inFolder(async (out) => {
      await convertModel(dir, out, { ...F32, to: 'hf', adapters: [dir] });
      const { tensors } = readSafetensors(readFileSync(join(out, 'model.safetensors')));
      const { config } = await load(dir);
      const { lora, tensors: adapter } = readAdapterFolder(dir, config);
      const base = readSafetensors(readFileSync(join(dir, 'model.safetensors'))).tensors;
      const expected = mergeLora(config, base, lora, adapter);
      for (const [name, { data }] of expected) expect(tensors.get(name)!.data, name).toEqual(data);
      const golden = readSafetensors(readFileSync(join(dir, 'expected.safetensors'))).tensors;
      let merged = 0;
      for (const [name, { data }] of golden) {
        if (!name.startsWith('merged.')) continue;
        merged++;
        const own = tensors.get(name.slice('merged.'.length))!.data;
        const error = Math.hypot(...data.map((x, i) => own[i]! - x)) / Math.hypot(...data);
        expect(error, name).toBeLessThan(1e-6);
      }
      expect(merged).toBeGreaterThan(0);
      const { model } = await load(out);
      const first = await logitsOf(model);
      model.destroy();
      await inFolder(async (twice) => {
        await convertModel(out, twice, { ...F32, to: 'hf', shardBytes: 50_000 });
        const { model: again } = await load(twice);
        expect(await logitsOf(again)).toEqual(first);
        again.destroy();
      });
    });
  });

  it.for(['D_lora', 'D2_lora_zeroB'])(
    'peft: %s comes out as it went in, name by name',
    async (name, { skip }) => {
      const dir = caseDirOr(skip, name, 'rewriting its adapter');
      await inFolder(async (out) => {
        await convertModel(dir, out, { ...F32, to: 'peft', adapters: [dir] });
        const [own, golden] = [out, dir].map(
          (d) => readSafetensors(readFileSync(join(d, 'adapter_model.safetensors'))).tensors,
        );
        expect([...own!.keys()].sort()).toEqual([...golden!.keys()].sort());
        for (const [key, { shape, data }] of golden!) expect(own!.get(key), key).toEqual({ shape, data });
        const settings = [out, dir].map((d) => readJson(d, 'adapter_config.json') as Record<string, unknown>);
        for (const key of ['peft_type', 'r', 'lora_alpha', 'bias', 'task_type'])
          expect(settings[0]![key], key).toEqual(settings[1]![key]);
      });
    },
  );

  it('peft: two adapters become one that answers as the stack does', async ({ skip }) => {
    const dir = caseDirOr(skip, 'A_gqa_padded', 'joining adapters');
    const { model, config } = await load(dir);
    const configs: LoraConfig[] = [
      { r: 3, alpha: 5, targets: ['q_proj', 'v_proj', 'down_proj'] },
      { r: 2, alpha: 8, targets: ['k_proj', 'v_proj', 'up_proj'] },
    ];
    const stack: Adapter[] = [];
    for (const [i, lora] of configs.entries()) {
      const adapter = new Adapter(await gpu(), config, lora);
      adapter.initialise(i);
      // B as well, or nothing is added
      const values = await adapter.params.read();
      adapter.params.write(values.map((x, n) => (x === 0 ? Math.sin(n + i) / 10 : x)));
      stack.push(adapter);
    }
    const tensors = await Promise.all(stack.map((a) => a.readTensors()));
    const expected = await logitsOf(model.with(...stack));
    await inFolder(async (parent) => {
      const dirs = ['0', '1'].map((name) => join(parent, name));
      for (const [i, lora] of configs.entries())
        await writePeft(dirs[i]!, { lora, tensors: tensors[i]! }, dir);
      const out = join(parent, 'one');
      await convertModel(dir, out, { ...F32, to: 'peft', adapters: dirs });
      const joined = readAdapterFolder(out, config);
      expect(joined.lora).toMatchObject({ r: 5, alpha: 5 });
      const one = new Adapter(await gpu(), config, joined.lora);
      one.writeTensors(joined.tensors);
      const got = await logitsOf(model.with(one));
      const error = Math.hypot(...expected.map((x, i) => got[i]! - x)) / Math.hypot(...expected);
      expect(error).toBeLessThan(1e-5);
      const bare = await logitsOf(model);
      expect(Math.hypot(...expected.map((x, i) => bare[i]! - x))).toBeGreaterThan(1e-2);
      one.destroy();
    });
    for (const adapter of stack) adapter.destroy();
    model.destroy();
  });

  it('refuses what it cannot write, and a folder that holds something', async ({ skip }) => {
    const dir = caseDirOr(skip, 'A_gqa_padded', 'refusing to convert it');
    await inFolder(async (out) => {
      // WebLLM cannot run a model without a tokenizer
      await expect(convertModel(dir, out, { ...F32, to: 'mlc' })).rejects.toThrow(/tokenizer\.json/);
      await expect(convertModel(dir, out, { ...F32, to: 'gguf' })).rejects.toThrow(/hf, mlc or peft/);
      await expect(convertModel(dir, out, { ...F32, to: 'peft' })).rejects.toThrow(/at least one --adapter/);
      await expect(convertModel(dir, dir, { ...F32, to: 'hf' })).rejects.toThrow(/is not empty/);
      await expect(convertModel(dir, out, { ...F32, to: 'hf', adapters: [out] })).rejects.toThrow(
        /adapter_config/,
      );
    });
  });
});
