/** What may stand in an archive's records, field by field: a file may come from anybody. */
import * as v from 'valibot';
import { readTable } from '../core/kernel-table.ts';
import { COARSE_KINDS, VERDICTS } from '../core/verdicts.ts';
import { badArchive } from '../files/archive/format.ts';
import { LORA_TARGETS } from '../model/lora.ts';
import type { LabelRecord, ModelRecord, PromptsRecord, SnapshotRecord } from '../store/schema.ts';
import { EMBEDDED_MODELS, type Evaluation, type LabNode } from './protocol.ts';

const text = (most: number) => v.pipe(v.string(), v.maxLength(most));
const finite = v.pipe(v.number(), v.finite());
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const hex = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const id = v.pipe(v.string(), v.regex(/^[\w.:@/-]{1,200}$/));
const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
const rate = v.object({ value: share, low: share, high: share, n: count });

const benign = v.object({
  mean: share,
  skills: v.pipe(v.array(v.object({ skill: text(60), correct: count, n: count })), v.maxLength(100)),
});
const newSkill = v.object({ correct: count, n: count });
const counts = v.object(
  Object.fromEntries(VERDICTS.map((kind) => [kind, count])) as Record<
    (typeof VERDICTS)[number],
    typeof count
  >,
);

const adapter = v.object({
  vendor: text(200),
  architecture: text(200),
  description: text(400),
  subgroupSize: count,
});

const opened = v.object({
  from: text(1000),
  weightFiles: v.array(v.object({ name: text(1000), bytes: count })),
  types: v.array(text(20)),
  precision: v.optional(v.picklist(['f32', 'f16', 'bf16'])),
  parameters: count,
  tokenizer: text(200),
  template: v.picklist(['model', 'default']),
  fingerprint: hex,
  /** Weights in a user's own files stay there: they are asked for again. */
  kept: v.picklist(['copy', 'nowhere']),
});

/** A node but for where its weights lie, and but for what its evaluations say of it. */
const Node = v.object({
  id,
  parentId: v.nullable(id),
  name: text(300),
  kind: v.picklist(['base', 'imported', 'defence', 'attack', 'benign']),
  recipe: v.nullable(text(60)),
  settings: v.record(text(60), v.union([finite, text(200), v.boolean()])),
  seeds: v.object({ world: count, defence: count, attack: count }),
  steps: count,
  runId: v.nullable(id),
  dataDigest: text(64),
  fileDigest: v.optional(hex),
  weightsDigest: hex,
  weightsBytes: v.pipe(count, v.multipleOf(4)),
  adapter: v.nullable(adapter),
  engineVersion: text(64),
  kernelTable: v.unknown(),
  lora: v.optional(
    v.object({
      r: v.pipe(count, v.minValue(1), v.maxValue(1024)),
      alpha: v.pipe(finite, v.gtValue(0)),
      targets: v.pipe(v.array(v.picklist(LORA_TARGETS)), v.minLength(1), v.maxLength(LORA_TARGETS.length)),
    }),
  ),
  attacked: v.optional(v.boolean()),
  continues: v.optional(v.boolean()),
  modelConfig: v.unknown(),
  root: v.nullable(v.picklist(EMBEDDED_MODELS)),
  prompts: v.optional(v.object({ id: hex, name: text(1000) })),
  context: v.optional(v.pipe(count, v.minValue(1))),
  opened: v.optional(opened),
  createdAt: finite,
  trainedOn: v.optional(text(300)),
});

const verdict = v.object({
  kind: v.picklist(VERDICTS),
  reason: text(2000),
  sub: v.optional(v.literal('deflection')),
});

const Judged = v.object({
  nodeId: id,
  set: v.picklist(['V', 'T']),
  n: count,
  quick: v.boolean(),
  counts,
  strict: rate,
  broad: rate,
  benign: v.nullable(benign),
  newSkill: v.nullable(newSkill),
  answers: v.array(
    v.object({
      prompt: text(10_000),
      answer: text(100_000),
      fact: v.optional(count),
      category: v.optional(count),
      logprobs: v.optional(v.array(finite)),
      ended: v.optional(v.boolean()),
      verdict,
    }),
  ),
  judge: v.optional(text(100)),
  protocol: v.optional(text(100)),
  adapter: v.optional(text(400)),
  partial: v.optional(v.literal(true)),
  seconds: v.pipe(finite, v.minValue(0)),
  createdAt: finite,
});

const Prompts = v.object({
  id: hex,
  name: text(1000),
  text: v.string(),
  manifest: v.optional(v.string()),
});

const Label = v.object({ digest: hex, verdict: v.picklist(COARSE_KINDS), time: finite });

const Snapshot = v.object({
  runId: id,
  step: count,
  parentId: id,
  form: v.picklist(['delta', 'adapter']),
  digest: hex,
});

const Opened = v.object({ id, description: v.record(v.string(), v.unknown()) });

/** A list of records as `schema` wants them. @throws LabError 'bad-input' naming the first field that is not */
function list<S extends v.GenericSchema>(
  schema: S,
  found: readonly unknown[],
  what: string,
): v.InferOutput<S>[] {
  return found.map((one, i) => {
    const parsed = v.safeParse(schema, one);
    if (parsed.success) return parsed.output;
    const issue = parsed.issues[0]!;
    throw badArchive(
      `${what} ${i + 1}: ${v.getDotPath(issue) ?? 'the record'}: ${issue.message.slice(0, 200)}`,
    );
  });
}

export type ArchivedNode = Omit<LabNode, 'weightsKey' | 'verdicts' | 'benign' | 'newSkill' | 'looks'>;

export function nodesIn(found: readonly unknown[]): ArchivedNode[] {
  return list(Node, found, 'checkpoint').map(({ kernelTable, ...node }) => {
    const lanes = (kernelTable as { subgroupSize?: unknown } | null)?.subgroupSize;
    return { ...node, kernelTable: readTable(kernelTable, typeof lanes === 'number' ? lanes : 0) };
  });
}

export const evaluationsIn = (found: readonly unknown[]): Evaluation[] => list(Judged, found, 'evaluation');
export const promptsIn = (found: readonly unknown[]): PromptsRecord[] => list(Prompts, found, 'prompts file');
export const labelsIn = (found: readonly unknown[]): LabelRecord[] => list(Label, found, 'verdict');
export const snapshotsIn = (found: readonly unknown[]): Omit<SnapshotRecord, 'bytes'>[] =>
  list(Snapshot, found, 'kept step');
export const modelsIn = (found: readonly unknown[]): ModelRecord[] =>
  list(Opened, found, 'opened model').map((one) => ({ ...one, folder: null }));
