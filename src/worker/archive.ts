/** Checkpoints as one file, to keep elsewhere or to give to somebody; and such a file taken in. */
import { parseLlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import { parsePrompts } from '../data/prompts-file.ts';
import { badArchive } from '../files/archive/format.ts';
import type { ArchiveReader } from '../files/archive/reader.ts';
import type { ModelRecord, SnapshotRecord } from '../store/schema.ts';
import { storageFigures } from '../store/quota.ts';
import type { LoraConfig } from '../model/lora.ts';
import {
  evaluationsIn,
  labelsIn,
  modelsIn,
  nodesIn,
  promptsIn,
  snapshotsIn,
  type ArchivedNode,
} from './archive-records.ts';
import type { Context } from './context.ts';
import { showing } from './evaluation.ts';
import { unconfirmed } from './export.ts';
import { madeByAttack, type Evaluation, type LabNode } from './protocol.ts';
import type {
  ArchiveContents,
  ArchiveMade,
  ArchiveOrder,
  ArchiveProgress,
  ArchiveScope,
} from './protocol/archive.ts';
import { storedFloats } from './stored-model.ts';

/** A quarter more than what is written: browsers count their own bookkeeping too. */
const ROOM = 1.25;

type StoredStep = Omit<SnapshotRecord, 'bytes'>;

/** What an archive would bring, with ids as they will be here. */
interface Bringing {
  /** Parents before their children; `from`: its entry's number. */
  nodes: { node: ArchivedNode; from: number }[];
  /** Whatever the archive holds, in its own order and under its own ids. */
  all: { node: ArchivedNode; state: ArchiveContents['nodes'][number]['state'] }[];
  evaluations: Evaluation[];
  models: ModelRecord[];
  prompts: ReturnType<typeof promptsIn>;
  labels: ReturnType<typeof labelsIn>;
  steps: { about: StoredStep; from: number }[];
}

export class Archives {
  readonly #ctx: Context;

  constructor(ctx: Context) {
    this.#ctx = ctx;
  }

  // ----------------------------------------------------------------------------------------------------------- writing

  /** @throws LabError 'bad-input' where an attack on an opened model is among them unconfirmed, 'corrupt-model' naming the checkpoint */
  async make(
    { scope, file, confirm }: ArchiveOrder,
    emit: (progress: ArchiveProgress) => void,
    signal: AbortSignal,
  ): Promise<ArchiveMade> {
    const { store } = this.#ctx;
    const nodes = inOrder(await this.#of(scope));
    await this.#confirm(nodes, confirm);
    const { ArchiveWriter } = await import('../files/archive/writer.ts');
    const sink = file && (await file.createWritable());
    const writer = new ArchiveWriter(sink as WritableStream<Uint8Array> | null);
    try {
      const steps = await this.#steps(nodes);
      const total =
        nodes.reduce((sum, n) => sum + n.weightsBytes, 0) + steps.reduce((sum, s) => sum + s.bytes, 0);
      let done = 0;
      const tell = (bytes: number): void => {
        signal.throwIfAborted();
        emit({ done: (done += bytes), total });
      };
      for (const [i, node] of nodes.entries()) {
        const digest = await writer.add(`weights/${i}.f32`, counted(store.archives.weights(node), tell));
        if (digest !== node.weightsDigest) throw damaged(node.name);
      }
      const kept: StoredStep[] = [];
      for (const { runId, step } of steps) {
        const found = await store.snapshots.read(runId, step);
        if (!found) continue;
        const { words, ...about } = found;
        await writer.add(`snapshots/${kept.length}.f16`, [new Uint8Array(words.buffer)]);
        kept.push(about);
        tell(words.byteLength);
      }
      const models = (await store.archives.allModels()).filter((m) => nodes.some((n) => n.id === m.id));
      const prompts = (await store.allPrompts()).filter(
        (p) => scope.kind === 'everything' || nodes.some((n) => n.prompts?.id === p.id),
      );
      await writer.records('nodes', nodes.map(leaving));
      await writer.records('evaluations', await this.#evaluations(nodes));
      await writer.records(
        'models',
        models.map(({ id, description }) => ({ id, description })),
      );
      await writer.records('prompts', prompts);
      await writer.records('labels', scope.kind === 'everything' ? await store.archives.allLabels() : []);
      await writer.records('snapshots', kept);
      return { blob: await writer.close(Date.now()), checkpoints: nodes.length };
    } catch (e) {
      // a half-written file is no file: the browser keeps the old one until `close`
      await sink?.abort().catch(() => {});
      throw e;
    }
  }

  async #of(scope: ArchiveScope): Promise<LabNode[]> {
    const all = await this.#ctx.store.nodes();
    if (scope.kind === 'everything') return all;
    const byId = new Map(all.map((n) => [n.id, n]));
    const node = await this.#ctx.node(scope.nodeId);
    const above = [node];
    for (
      let at: LabNode | undefined = node;
      at;
      at = at.parentId === null ? undefined : byId.get(at.parentId)
    )
      if (at !== node) above.push(at);
    if (scope.kind === 'node') return above;
    const family = new Set([above.at(-1)!.id]);
    for (let before = 0; before !== family.size;) {
      before = family.size;
      for (const n of all) if (n.parentId !== null && family.has(n.parentId)) family.add(n.id);
    }
    return all.filter((n) => family.has(n.id));
  }

  async #confirm(nodes: readonly LabNode[], typed?: string): Promise<void> {
    const attacked = nodes.find((n) => n.root === null && madeByAttack(n));
    if (!attacked) return;
    const root = await this.#ctx.node(await this.#ctx.rootId(attacked));
    if (typed?.trim() !== root.name) throw unconfirmed(root.name);
  }

  async #steps(nodes: readonly LabNode[]): Promise<{ runId: string; step: number; bytes: number }[]> {
    const kept = await this.#ctx.store.snapshots.steps();
    const last = new Map<string, number>();
    for (const { runId, steps } of nodes)
      if (runId !== null) last.set(runId, Math.max(steps, last.get(runId) ?? 0));
    const found = [...last].flatMap(([runId, until]) =>
      (kept.get(runId) ?? []).filter((step) => step <= until).map((step) => ({ runId, step })),
    );
    return Promise.all(
      found.map(async (one) => ({
        ...one,
        bytes: await this.#ctx.store.snapshots.size(one.runId, one.step),
      })),
    );
  }

  /** Verdicts with their answers; insights, other measures and looks at opened models are computed again where they are wanted. */
  async #evaluations(nodes: readonly LabNode[]): Promise<Evaluation[]> {
    const lists = await Promise.all(nodes.map((n) => this.#ctx.store.evaluations(n.id)));
    return lists.flat().filter((one): one is Evaluation => 'set' in one);
  }

  // ----------------------------------------------------------------------------------------------------------- reading

  /** What a file would bring. Its bytes are not read yet. */
  async look(file: Blob): Promise<ArchiveContents> {
    const reader = await open(file);
    const bringing = await this.#plan(reader);
    const { all, evaluations, prompts, labels, steps } = bringing;
    const { quotaBytes, usedBytes } = await storageFigures();
    return {
      madeAt: reader.manifest.madeAt,
      nodes: all.map(({ node: { name, kind, steps, weightsBytes }, state }) => ({
        ...{ name, kind, steps, state },
        bytes: weightsBytes,
      })),
      evaluations: evaluations.length,
      prompts: prompts.length,
      labels: labels.length,
      steps: steps.length,
      bytes: bytesOf(reader, bringing),
      freeBytes: quotaBytes > 0 ? quotaBytes - usedBytes : null,
    };
  }

  /**
   * Takes a file in: every byte is checked before the first is written, and all of it becomes visible at once.
   * @throws LabError 'bad-input' naming what is wrong with it, 'quota', 'cancelled'
   */
  async take(
    file: Blob,
    emit: (progress: ArchiveProgress) => void,
    signal: AbortSignal,
  ): Promise<{ nodes: LabNode[] }> {
    const reader = await open(file);
    const bringing = await this.#plan(reader);
    const write = bytesOf(reader, bringing);
    await requireFree(write);
    const check = reader.manifest.entries.reduce((sum, { bytes }) => sum + bytes, 0);
    const total = check + write;
    await reader.verify({ signal, onBytes: (done) => emit({ done, total }) });
    const from = new Map(bringing.nodes.map((one) => [one.node.id, one.from]));
    const stepFrom = new Map(bringing.steps.map((one) => [one.about, one.from]));
    let done = check;
    const nodes = await this.#ctx.store.archives.adopt(
      {
        ...bringing,
        nodes: shown(bringing),
        weights: ({ id }) => reader.stream(`weights/${from.get(id)!}.f32`),
        snapshots: bringing.steps.map(({ about }) => about),
        snapshot: (about) => whole(reader, `snapshots/${stepFrom.get(about)!}.f16`),
      },
      { signal, onBytes: (bytes) => emit({ done: (done += bytes), total }) },
    );
    for (const node of nodes) this.#ctx.notify({ type: 'node', node });
    return { nodes };
  }

  async #plan(reader: ArchiveReader): Promise<Bringing> {
    const all = nodesIn(await reader.records('nodes'));
    if (all.length === 0) throw badArchive('it holds no checkpoint');
    for (const [i, node] of all.entries())
      if (reader.bytes(`weights/${i}.f32`) !== node.weightsBytes)
        throw badArchive(`the weights of ${JSON.stringify(node.name)} have another size than it says`);
    const here = new Map((await this.#ctx.store.nodes()).map((n) => [n.id, n]));
    const states = all.map(({ id, weightsDigest }): ArchiveContents['nodes'][number]['state'] => {
      const own = here.get(id);
      return own === undefined ? 'new' : own.weightsDigest === weightsDigest ? 'here' : 'other';
    });
    const renamed = new Map(
      all.map(({ id }, i) => [id, states[i] === 'other' ? crypto.randomUUID() : id] as const),
    );
    if (renamed.size !== all.length) throw badArchive('it holds a checkpoint twice');
    const idOf = (id: string): string => renamed.get(id) ?? id;
    const nodes = inOrder(
      all.flatMap((node, from) => {
        if (states[from] === 'here') return [];
        const parentId = node.parentId === null ? null : idOf(node.parentId);
        return [{ ...node, id: idOf(node.id), parentId, from }];
      }),
    ).map(({ from, ...node }) => ({ node, from }));
    const coming = new Map(nodes.map(({ node }) => [node.id, node]));
    for (const { node } of nodes)
      requireSound(
        node,
        node.parentId === null ? null : (coming.get(node.parentId) ?? here.get(node.parentId)),
      );
    // of a checkpoint that is here, what is said of it here stays
    const evaluations = evaluationsIn(await reader.records('evaluations'))
      .map((one) => ({ ...one, nodeId: idOf(one.nodeId) }))
      .filter(({ nodeId }) => coming.has(nodeId));
    const models = modelsIn(await reader.records('models'))
      .map((one) => ({ ...one, id: idOf(one.id) }))
      .filter(({ id }) => coming.has(id));
    const orphan = nodes.find(
      ({ node: n }) => n.root === null && n.parentId === null && !models.some((m) => m.id === n.id),
    );
    if (orphan) throw badArchive(`nothing is told of the opened model ${JSON.stringify(orphan.node.name)}`);
    const known = new Set((await this.#ctx.store.allPrompts()).map((p) => p.id));
    const prompts = promptsIn(await reader.records('prompts')).filter((p) => !known.has(p.id));
    for (const { name, text } of prompts) parsePrompts(text, name);
    const runs = new Set(nodes.map(({ node }) => node.runId));
    const steps = snapshotsIn(await reader.records('snapshots'))
      .map((about, from) => ({ about: { ...about, parentId: idOf(about.parentId) }, from }))
      .filter(({ about }) => runs.has(about.runId));
    const labels = labelsIn(await reader.records('labels'));
    const named = all.map((node, i) => ({ node, state: states[i]! }));
    return { nodes, all: named, evaluations, models, prompts, labels, steps };
  }
}

async function open(file: Blob): Promise<ArchiveReader> {
  const { ArchiveReader } = await import('../files/archive/reader.ts');
  return ArchiveReader.open(file);
}

/** Parents before their children, else as they were. @throws LabError 'bad-input' where they go round in a circle */
function inOrder<T extends { id: string; parentId: string | null }>(nodes: readonly T[]): T[] {
  const waiting = new Set(nodes.map((n) => n.id));
  const out: T[] = [];
  for (let before = -1; before !== out.length;) {
    before = out.length;
    for (const node of nodes) {
      if (!waiting.has(node.id) || (node.parentId !== null && waiting.has(node.parentId))) continue;
      waiting.delete(node.id);
      out.push(node);
    }
  }
  if (waiting.size > 0) throw badArchive('its checkpoints are made of each other in a circle');
  return out;
}

/** @throws LabError 'bad-input' where a checkpoint does not stand on its parent */
function requireSound(
  node: ArchivedNode,
  parent: Pick<LabNode, 'root' | 'modelConfig'> | null | undefined,
): void {
  const name = JSON.stringify(node.name);
  if (parent === undefined)
    throw badArchive(
      `what ${name} was made of is neither in it nor here`,
      'Take in the file of the whole family.',
    );
  if ((node.kind === 'base') !== (parent === null))
    throw badArchive(`${name} stands in the wrong place of its family`);
  const config = parseLlamaConfig(node.modelConfig);
  if (
    parent !== null &&
    (parent.root !== node.root ||
      JSON.stringify(parseLlamaConfig(parent.modelConfig)) !== JSON.stringify(config))
  )
    throw badArchive(`${name} has another shape than what it was made of`);
  if (parent === null && (node.root === null) !== (node.opened !== undefined))
    throw badArchive(`${name} is neither one of the lab's models nor an opened one`);
  const elsewhere = node.opened !== undefined && node.opened.kept !== 'copy';
  const floats = elsewhere ? 0 : storedFloats(config, node.lora as LoraConfig | undefined);
  if (node.weightsBytes !== floats * 4) throw badArchive(`the weights of ${name} do not fit its shape`);
}

/** Nodes as they will stand here: what was judged of them is shown. */
function shown({ nodes, evaluations }: Bringing): Omit<LabNode, 'weightsKey'>[] {
  return nodes.map(({ node }) => {
    const judged = evaluations.filter((e) => e.nodeId === node.id).sort((a, b) => a.createdAt - b.createdAt);
    return judged.reduce<Omit<LabNode, 'weightsKey'>>((n, evaluation) => showing(evaluation)(n), node);
  });
}

/**
 * A node as it leaves: its place in this browser, and what its evaluations say again, stay behind. Files that lie elsewhere are to
 * be chosen again.
 */
function leaving({
  weightsKey: _place,
  verdicts: _v,
  benign: _b,
  newSkill: _s,
  looks: _l,
  ...node
}: LabNode): ArchivedNode {
  if (!node.opened) return node;
  const { hub: _hub, webllm: _webllm, ...opened } = node.opened;
  return { ...node, opened: { ...opened, kept: opened.kept === 'copy' ? 'copy' : 'nowhere' } };
}

const bytesOf = (reader: ArchiveReader, { nodes, steps }: Bringing): number =>
  nodes.reduce((sum, { node }) => sum + node.weightsBytes, 0) +
  steps.reduce((sum, { from }) => sum + reader.bytes(`snapshots/${from}.f16`), 0);

async function requireFree(bytes: number): Promise<void> {
  const { quotaBytes, usedBytes } = await storageFigures();
  if (quotaBytes === 0 || bytes * ROOM <= quotaBytes - usedBytes) return;
  const mb = (n: number): string => `${Math.ceil(n / 1e6)} MB`;
  throw new LabError(
    'quota',
    `The file takes ${mb(bytes * ROOM)} of storage, and the browser gives ${mb(quotaBytes - usedBytes)} more.`,
    {
      safe: 'Nothing was changed.',
      next: 'Delete checkpoints that you do not need, or free disk space.',
    },
  );
}

async function* counted(
  parts: AsyncIterable<Uint8Array>,
  tell: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const part of parts) {
    yield part;
    tell(part.byteLength);
  }
}

async function whole(reader: ArchiveReader, name: string): Promise<ArrayBuffer> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for await (const part of reader.stream(name)) parts.push(part.slice());
  return new Blob(parts).arrayBuffer();
}

const damaged = (name: string): LabError =>
  new LabError(
    'corrupt-model',
    `The stored weights of '${name}' are damaged: their checksum does not match.`,
    {
      safe: 'Nothing was written.',
      next: 'Delete this checkpoint, then keep a copy of the others.',
    },
  );
