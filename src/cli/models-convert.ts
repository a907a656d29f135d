/** A model folder, with adapters folded in or apart, written anew in Hugging Face's, MLC's or PEFT's layout. */
import { existsSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, open, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseLlamaConfig, type LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import { findCheckpoint } from '../files/find-checkpoint.ts';
import type { Dtype } from '../files/dtypes.ts';
import { readDescription } from '../files/model-files.ts';
import type { Sink } from '../files/sink.ts';
import { openWeights } from '../model/hf.ts';
import { joinAdapters, type StoredAdapter } from '../model/lora-stack.ts';
import { writeMerged } from '../model/merged-files.ts';
import { writeMlc } from '../model/mlc-files.ts';
import { parsePeftConfig, peftConfigJson, readPeftTensors } from '../model/peft.ts';
import { writeSafetensors } from '../model/safetensors.ts';
import { attackedFiles, confirmed } from './models-attacked.ts';
import { nodeFolder } from './models-files.ts';
import { mlcBundle } from './models-mlc.ts';

export interface ConvertOptions {
  to: string;
  /** PEFT folders, the lowest first. */
  adapters: readonly string[];
  dtype: Dtype;
  /** Name of what an attack made, where that is to be written. */
  confirm?: string | undefined;
  shardBytes?: number;
  /** Of `--to mlc`: a model library that must take the weights. */
  lib?: string | undefined;
  /** Told what its user should know of the result. */
  onNote?(text: string): void;
}

/** Files beside the weights that belong to the model. */
const COMPANIONS = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'generation_config.json',
  'chat_template.jinja',
  'vocab.json',
];

/** An adapter in PEFT's layout, checked against the model. @throws LabError when it does not fit or is not there */
export function readAdapterFolder(dir: string, config: LlamaConfig): StoredAdapter {
  const [settings, weights] = ['adapter_config.json', 'adapter_model.safetensors'].map((name) => {
    const path = join(dir, name);
    if (existsSync(path)) return readFileSync(path);
    throw new LabError('not-found', `${dir} has no ${name}.`, {
      safe: 'Nothing was loaded.',
      next: "Name the folder of an adapter in PEFT's layout.",
    });
  }) as [Buffer, Buffer];
  let json: unknown;
  try {
    json = JSON.parse(settings.toString('utf8'));
  } catch (cause) {
    throw new LabError('bad-input', `adapter_config.json in ${dir} is not JSON.`, {
      safe: 'Nothing was loaded.',
      next: 'Take the adapter from its source again.',
      cause,
    });
  }
  const lora = parsePeftConfig(json);
  return { lora, tensors: readPeftTensors(config, lora, weights) };
}

/**
 * @returns the names of the files written
 * @throws LabError with the reason why this cannot be converted, and when what an attack made is not confirmed by its name
 */
export async function convertModel(dir: string, out: string, o: ConvertOptions): Promise<string[]> {
  if (o.to !== 'hf' && o.to !== 'peft' && o.to !== 'mlc')
    throw new LabError('bad-input', `--to is "${o.to}"; hf, mlc or peft is wanted.`, {
      safe: 'Nothing was written.',
    });
  const folder = await nodeFolder(dir);
  const description = await readDescription(folder);
  const { config: json } = description;
  if (json === undefined)
    throw new LabError('not-found', `${dir} has no config.json.`, { safe: 'Nothing was written.' });
  const config = parseLlamaConfig(json);
  const adapters = o.adapters.map((path) => readAdapterFolder(path, config));
  const attacked = confirmed([dir, ...o.adapters], o.confirm);
  const mark = async (): Promise<string[]> => {
    const files = attacked ? attackedFiles(attacked) : [];
    for (const { name, text } of files) await writeFile(join(out, name), text);
    return files.map((f) => f.name);
  };
  if (existsSync(out) && (await readdir(out)).length > 0)
    throw new LabError('bad-input', `${out} is not empty.`, {
      safe: 'Nothing was written.',
      next: 'Name a new folder.',
    });
  if (o.to === 'peft') {
    if (adapters.length === 0)
      throw new LabError('bad-input', '--to peft wants at least one --adapter.', {
        safe: 'Nothing was written.',
      });
    await mkdir(out, { recursive: true });
    // before the weights: they are never there without it
    return [...(await mark()), ...(await writePeft(out, joinAdapters(config, adapters), dir))];
  }
  // before anything is written: what cannot be read or does not fit leaves no trace
  const bundle = o.to === 'mlc' ? mlcBundle(config, description, o) : null;
  const source = await openWeights(config, await findCheckpoint(folder));
  await mkdir(out, { recursive: true });
  const begun = await mark();
  const written = [...begun];
  const openFile = async (file: string): Promise<Sink> => {
    begun.push(file);
    const handle = await open(join(out, file), 'w');
    return { write: (bytes) => handle.writeFile(bytes), close: () => handle.close() };
  };
  try {
    if (bundle) {
      for (const { name, text } of bundle.files) {
        begun.push(name);
        await writeFile(join(out, name), text);
      }
      written.push(...bundle.files.map((f) => f.name));
      written.push(...(await writeMlc(config, source, adapters, { dtype: o.dtype, open: openFile })));
      for (const note of bundle.notes) o.onNote?.(note);
      return written;
    }
    written.push(
      ...(await writeMerged(config, source, adapters, {
        dtypeOf: () => o.dtype,
        ...(o.shardBytes !== undefined && { shardBytes: o.shardBytes }),
        open: openFile,
      })),
    );
  } catch (error) {
    // half a model is of no use, and would be in the way of the next try
    await Promise.all(begun.map((file) => rm(join(out, file), { force: true })));
    throw error;
  }
  const torch_dtype = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' }[o.dtype];
  // last: a folder without it is no model, so an interrupted conversion is not taken for one
  for (const name of COMPANIONS)
    if (folder.has(name)) {
      await copyFile(join(dir, name), join(out, name));
      written.push(name);
    }
  // a bundle from WebLLM says how it is spoken to in a file that no other loader reads
  if (description.template !== undefined && !folder.has('chat_template.jinja')) {
    await writeFile(join(out, 'chat_template.jinja'), description.template);
    written.push('chat_template.jinja');
  }
  await writeFile(
    join(out, 'config.json'),
    `${JSON.stringify({ ...(json as object), torch_dtype }, null, 2)}\n`,
  );
  return [...written, 'config.json'];
}

export async function writePeft(
  out: string,
  { lora, tensors }: StoredAdapter,
  base: string,
): Promise<string[]> {
  await mkdir(out, { recursive: true });
  await writeFile(join(out, 'adapter_model.safetensors'), writeSafetensors(tensors, 'F32'));
  await writeFile(
    join(out, 'adapter_config.json'),
    `${JSON.stringify(peftConfigJson(lora, base), null, 2)}\n`,
  );
  return ['adapter_model.safetensors', 'adapter_config.json'];
}
