import type { Checkpoint } from '../files/checkpoint.ts';
import type { FileFolder } from '../files/source.ts';
import { storedPrecision } from '../files/checkpoint.ts';
import { size } from '../core/memory.ts';
import { examineModel } from './models-open.ts';
import { usualPlan } from './models-plan.ts';

export interface PartReport {
  part: string;
  tensors: number;
  parameters: number;
  bytes: number;
  /** Tensors of each type. */
  dtypes: Record<string, number>;
}

/** What `inspect --json` prints. Null: not there, or not to be read; then `unsupported` says why. */
export interface ModelReport {
  architecture: string | null;
  sizes: Record<string, unknown> | null;
  parameters: number | null;
  bytes: number | null;
  tensors: number | null;
  files: { name: string; bytes: number }[];
  parts: PartReport[];
  tokenizer: { kind: string; size: number; bos: string | null; eos: string | null; ends: number[] } | null;
  chatTemplate: 'model' | 'default' | null;
  /** GPU bytes of a LoRA run of the usual size, see models-plan. */
  memory: { precision: string; context: number; bytes: number } | null;
  notes: string[];
  unsupported: string[];
}

const PARTS: [string, RegExp][] = [
  ['embedding', /\.embed_tokens\./],
  ['attention', /\.self_attn\.[a-z]+_proj\./],
  ['mlp', /\.mlp\./],
  ['norms', /norm\.weight$/],
  ['head', /^lm_head\./],
];

function partsOf({ tensors }: Checkpoint): PartReport[] {
  const parts = new Map<string, PartReport>();
  for (const t of tensors.values()) {
    const part = PARTS.find(([, pattern]) => pattern.test(t.name))?.[0] ?? 'other';
    const sum = parts.get(part) ?? { part, tensors: 0, parameters: 0, bytes: 0, dtypes: {} };
    parts.set(part, sum);
    sum.tensors++;
    sum.parameters += t.shape.reduce((a, b) => a * b, 1);
    sum.bytes += t.end - t.begin;
    sum.dtypes[t.dtype] = (sum.dtypes[t.dtype] ?? 0) + 1;
  }
  return [...PARTS.map(([part]) => part), 'other'].flatMap((part) => parts.get(part) ?? []);
}

/** @throws LabError 'not-found' when the folder holds no model */
export async function inspectModel(folder: FileFolder): Promise<ModelReport> {
  const { description, config, checkpoint, tokenizer, template, unsupported } = await examineModel(folder);
  const parts = checkpoint ? partsOf(checkpoint) : [];
  const total = (what: 'parameters' | 'bytes' | 'tensors'): number | null =>
    checkpoint && parts.reduce((sum, part) => sum + part[what], 0);
  const given = description?.config as { architectures?: unknown; model_type?: unknown } | null | undefined;
  const named = Array.isArray(given?.architectures) ? given.architectures.join(', ') : given?.model_type;
  const usual = config && usualPlan(config, checkpoint ? storedPrecision(checkpoint) : 'f32');
  const memory = usual && {
    precision: usual.request.precision,
    context: usual.request.context,
    bytes: usual.total,
  };
  const notes: string[] = [];
  if (template?.source === 'default')
    notes.push('no chat template: `generate` uses a plain transcript, "User: ..." and "Assistant:"');
  if (tokenizer && config && tokenizer.size < config.vocab_size)
    notes.push(`${config.vocab_size - tokenizer.size} rows of the embedding have no token`);
  return {
    architecture: typeof named === 'string' ? named : config ? 'LlamaForCausalLM' : null,
    sizes: config && { ...config },
    parameters: total('parameters'),
    bytes: total('bytes'),
    tensors: total('tensors'),
    files: (checkpoint?.files ?? []).map(({ name, size }) => ({ name, bytes: size })),
    parts,
    tokenizer: tokenizer && {
      kind: tokenizer.kind,
      size: tokenizer.size,
      bos: tokenizer.bos?.token ?? null,
      eos: tokenizer.eos?.token ?? null,
      ends: [...tokenizer.ends],
    },
    chatTemplate: template?.source ?? null,
    memory,
    notes,
    unsupported,
  };
}

const count = (n: number): string => n.toLocaleString('en-US');
const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** The report as lines for a terminal. */
export function reportLines(r: ModelReport): string[] {
  const lines = [`architecture  ${r.architecture ?? 'unknown'}`];
  const row = (name: string, text: string): void => void lines.push(`${name.padEnd(14)}${text}`);
  const s = r.sizes;
  if (s) {
    row('layers', `${s.num_hidden_layers}, hidden ${s.hidden_size}, ffn ${s.intermediate_size}`);
    row(
      'heads',
      `${s.num_attention_heads} queries, ${s.num_key_value_heads} keys and values, each ${s.head_dim} wide`,
    );
    row(
      'positions',
      `${s.max_position_embeddings}, rope_theta ${s.rope_theta}, scaling ${JSON.stringify(s.rope_scaling)}`,
    );
    row(
      'vocabulary',
      `${s.vocab_size}, ${s.tie_word_embeddings ? 'head tied to the embedding' : 'head of its own'}`,
    );
  }
  if (r.parameters !== null) {
    row('parameters', count(r.parameters));
    row(
      'weights',
      `${count(r.tensors!)} tensors, ${mib(r.bytes!)} in ${r.files.map((f) => f.name).join(', ')}`,
    );
  }
  for (const p of r.parts) {
    const types = Object.keys(p.dtypes).join(' and ');
    row(`  ${p.part}`, `${count(p.parameters)} in ${p.tensors} tensors, ${types}, ${mib(p.bytes)}`);
  }
  if (r.tokenizer) {
    const { kind, size, bos, eos, ends } = r.tokenizer;
    row(
      'tokenizer',
      `${kind}, ${count(size)} tokens, bos ${bos ?? 'none'}, eos ${eos ?? 'none'}, ends ${ends.join(' ')}`,
    );
  }
  if (r.chatTemplate) row('chat template', r.chatTemplate === 'model' ? 'its own' : 'none');
  if (r.memory)
    row(
      'memory',
      `${size(r.memory.bytes)} on the GPU for LoRA rank 8 at ${r.memory.context} tokens, weights in ${r.memory.precision}; more: models plan`,
    );
  for (const note of r.notes) row('note', note);
  for (const reason of r.unsupported) row('unsupported', reason);
  if (r.unsupported.length === 0) row('supported', 'yes');
  return lines;
}
