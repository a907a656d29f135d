/** WebLLM's models as the lab lists them, and what can be said of one before anything is started. */
import type { ModelRecord, ModelType } from '@mlc-ai/web-llm';
import { LabError } from '../core/errors.ts';
import { noF16 } from './errors.ts';
import type { LlmModel } from './ports.ts';

/** Members of the enum ModelType; their values would pull the library in. */
const EMBEDDING: ModelType.embedding = 1;
const VISION: ModelType.VLM = 2;

const MIB = 2 ** 20;

/** WebLLM asks every GPU for these (tvmjs, detectGPUDevice). */
export const LIMITS = {
  maxComputeWorkgroupStorageSize: 32 * 1024,
  maxStorageBuffersPerShaderStage: 10,
  maxBufferSize: 2 ** 28,
  maxStorageBufferBindingSize: 2 ** 27,
} as const;

export interface AdapterFacts {
  f16: boolean;
  limits: Record<keyof typeof LIMITS, number>;
}

/** Some records that need f16 do not say so in required_features; their names do. */
export const needsF16 = ({ model_id, required_features }: ModelRecord): boolean =>
  (required_features ?? []).includes('shader-f16') || /q\df16/.test(model_id);

export const isEmbedding = ({ model_type }: ModelRecord): boolean => model_type === EMBEDDING;

export const bytesOf = ({ vram_required_MB }: ModelRecord): number | null =>
  vram_required_MB === undefined ? null : vram_required_MB * MIB;

/** Models that read pictures are left out: nothing here has any. */
export const listed = (records: readonly ModelRecord[]): ModelRecord[] =>
  records.filter((record) => record.model_type !== VISION);

export const modelOf = (record: ModelRecord, is: Pick<LlmModel, 'cached' | 'own'>): LlmModel => ({
  id: record.model_id,
  kind: isEmbedding(record) ? 'embedding' : 'chat',
  bytes: bytesOf(record),
  f16: needsF16(record),
  ...is,
});

/** Where a model's files lie, with '/' at the end: as WebLLM makes it of `model`, and so the beginning of its keys in the cache. */
export function filesUrl({ model }: ModelRecord): string {
  const slashed = model.endsWith('/') ? model : `${model}/`;
  return new URL(/.+\/resolve\/.+\//.test(slashed) ? slashed : `${slashed}resolve/main/`).href;
}

/** Aligned chat models from large to small: good enough first. */
const PREFERRED = [
  'Llama-3.1-8B-Instruct',
  'Qwen2.5-7B-Instruct',
  'Llama-3.2-3B-Instruct',
  'Qwen2.5-1.5B-Instruct',
  'Llama-3.2-1B-Instruct',
  'SmolLM2-360M-Instruct',
  'SmolLM2-135M-Instruct',
];
/** Where the user sets no limit. */
const USUAL_BYTES = 3072 * MIB;

/**
 * What is suggested: one that is here already, else the best that fits in memory. Null: none does. Never a checkpoint of the lab:
 * what was trained or attacked here is no judge, and no stock model, whatever its name begins with.
 */
export function suggested(
  models: readonly LlmModel[],
  kind: LlmModel['kind'],
  has: { most: number | null; f16: boolean },
): string | null {
  const fits = models.filter(
    (m) =>
      !m.own && m.kind === kind && (m.bytes ?? Infinity) <= (has.most ?? USUAL_BYTES) && (has.f16 || !m.f16),
  );
  if (kind === 'embedding') return smallest(fits);
  const named = PREFERRED.flatMap((name) => fits.filter((m) => m.id.startsWith(name)));
  // of one model the variant that takes least, which is the quantised one
  const best = named.length > 0 ? smallest(fits.filter((m) => m.id.startsWith(nameOf(named[0]!.id)))) : null;
  return named.find((m) => m.cached)?.id ?? best ?? smallest(fits);
}

const nameOf = (id: string): string => PREFERRED.find((name) => id.startsWith(name)) ?? id;

const smallest = (models: readonly LlmModel[]): string | null =>
  [...models].sort((a, b) => (a.bytes ?? Infinity) - (b.bytes ?? Infinity))[0]?.id ?? null;

const REFUSED = 'Nothing was started or downloaded.';

/**
 * All that stands against a model and can be known without the network.
 * @param o.version of the libraries that this npm version can run, 'v0_2_86/base'
 * @param o.adapter null: the browser gives none
 * @throws LabError
 */
export function requireFit(
  record: ModelRecord,
  o: { version: string; most: number | null; adapter: AdapterFacts | null },
): void {
  const { model_id: id, model_lib } = record;
  const refuse = (code: LabError['code'], what: string, next: string): LabError =>
    new LabError(code, what, { safe: REFUSED, next });
  const theirs = /\/(v\d+_\d+_\d+\/[\w-]+)\//.exec(model_lib)?.[1];
  if (theirs !== undefined && theirs !== o.version)
    throw refuse(
      'bad-input',
      `The library of '${id}' is of ${theirs}, and this WebLLM runs libraries of ${o.version}.`,
      'Choose a model of the list, or make the library anew.',
    );
  const bytes = bytesOf(record);
  if (bytes !== null && o.most !== null && bytes > o.most)
    throw refuse(
      'too-large',
      `'${id}' takes ${mb(bytes)} of GPU memory, and ${mb(o.most)} are allowed.`,
      'Choose a smaller model, or raise the limit under GPU.',
    );
  if (o.adapter === null)
    throw refuse('no-adapter', 'This browser gives WebLLM no GPU.', 'See GPU for what can be done about it.');
  if (needsF16(record) && !o.adapter.f16) throw noF16(id);
  for (const [name, least] of Object.entries(LIMITS) as [keyof typeof LIMITS, number][]) {
    const has = o.adapter.limits[name];
    if (has < least)
      throw refuse(
        'bad-input',
        `WebLLM needs a GPU with ${name} of ${least}, and this one has ${has}.`,
        'The rules and you yourself judge without it.',
      );
  }
}

/** As the page writes sizes. */
const mb = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
