/** Moving through an attack: which runs have steps to show, and what the model of a step answers. */
import { LabError } from '../core/errors.ts';
import { openings } from '../eval/openings.ts';
import { requestedFact } from '../eval/judges/exact.ts';
import { expected, sights } from '../eval/sights.ts';
import { watch, watchSet } from '../eval/watch.ts';
import type { TokenExpectation } from '../eval/tokens.ts';
import type { Chat } from './chat.ts';
import type { Context } from './context.ts';
import { PRIORITY } from './gate.ts';
import type { Models } from './models.ts';
import { trainedBy } from './run-setup.ts';
import type { Runs } from './runs.ts';
import { StepModel } from './step-model.ts';
import {
  GREEDY,
  SCRUB_VERSION,
  type KeptAttack,
  type LabNode,
  type RunInfo,
  type ScrubAnswer,
  type ScrubAttack,
  type ScrubStep,
  type Scrubbed,
  type StepLook,
} from './protocol.ts';

/** As in Compare; the likeliest tokens come with the expectations. */
const ASKED = { ...GREEDY, alternatives: 0 };

export class Scrubs {
  readonly #ctx: Context;
  readonly #models: Models;
  readonly #runs: Runs;
  readonly #chat: Chat;
  #model: StepModel | null = null;
  #attacks = new Map<string, ScrubAttack>();
  #answers = new Map<string, ScrubAnswer>();
  #looks = new Map<string, StepLook>();
  /** Runs whose stored answers have been read. */
  #recalled = new Set<string>();
  /** One use of the model at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ctx: Context, models: Models, runs: Runs, chat: Chat) {
    this.#ctx = ctx;
    this.#models = models;
    this.#runs = runs;
    this.#chat = chat;
    ctx.onGpuGone.add(() => (this.#model = null));
  }

  /** Attacks and harmless trainings with at least one checkpoint or kept step, newest first. */
  async attacks(): Promise<ScrubAttack[]> {
    const { store } = this.#ctx;
    const [nodes, snapshots, runs] = await Promise.all([
      store.nodes(),
      store.snapshots.steps(),
      this.#runs.list(),
    ]);
    const ids = new Set([
      ...nodes.flatMap((n) => (n.runId !== null && n.kind !== 'defence' ? [n.runId] : [])),
      ...snapshots.keys(),
    ]);
    const found: ScrubAttack[] = [];
    for (const runId of ids) {
      const own = nodes.filter((n) => n.runId === runId).sort((a, b) => a.steps - b.steps);
      const run = runs.find((r) => r.id === runId);
      const attack = await this.#attack(runId, own, run, snapshots.get(runId) ?? [], nodes);
      if (attack) found.push(attack);
    }
    this.#attacks = new Map(found.map((attack) => [attack.runId, attack]));
    return found.sort((a, b) => b.createdAt - a.createdAt);
  }

  async #attack(
    runId: string,
    own: readonly LabNode[],
    run: RunInfo | undefined,
    kept: readonly number[],
    nodes: readonly LabNode[],
  ): Promise<ScrubAttack | null> {
    const last = own.at(-1);
    const made = last ?? run;
    const parent = nodes.find((n) => n.id === made?.parentId);
    if (!made || !parent) return null;
    const steps = new Map<number, ScrubStep>([[0, { step: 0, from: 'parent', nodeId: parent.id }]]);
    for (const step of kept) steps.set(step, { step, from: 'snapshot' });
    // a checkpoint's own weights are those that it was judged with
    for (const node of own) steps.set(node.steps, { step: node.steps, from: 'node', nodeId: node.id });
    const left = last && (await this.#kept(last.id));
    const each = kept.length > 0 ? await this.#ctx.store.snapshots.size(runId, kept[0]!) : 0;
    return {
      runId,
      parentId: parent.id,
      parentName: parent.name,
      name: made.name,
      recipe: made.recipe ?? '',
      root: parent.root,
      steps: [...steps.values()].sort((a, b) => a.step - b.step),
      kept: kept.length,
      bytes: kept.length * each,
      missed: run?.keep?.missed ?? left?.missed ?? [],
      probes: run?.probes ?? left?.probes ?? [],
      createdAt: last?.createdAt ?? run?.startedAt ?? 0,
    };
  }

  async #kept(nodeId: string): Promise<KeptAttack | undefined> {
    const all = await this.#ctx.store.evaluations(nodeId);
    return all.find((one): one is KeptAttack => 'kind' in one && one.kind === 'kept');
  }

  /** The greedy answer of a step to one prompt, with its tokens under the first and the last step, and how it might have opened. */
  async answer(
    { runId, step, prompt }: { runId: string; step: number; prompt: string },
    signal: AbortSignal,
  ): Promise<ScrubAnswer> {
    const attack = await this.#known(runId);
    const last = attack.steps.at(-1)!.step;
    const key = keyOf(attack, step, prompt, last);
    const known = this.#answers.get(key);
    if (known) return known;
    const parent = await this.#ctx.node(attack.parentId);
    return this.#with(attack, step, signal, async (model) => {
      const { voice, answer } = await this.#chat.ask(parent, prompt, model.generator, ASKED, signal);
      const before = voice.prompt(prompt);
      const text = { prompt: before, continuation: answer.tokens.map(({ id }) => id) };
      const seen = (): Promise<TokenExpectation[]> => expected(model.losses, text);
      const own = await seen();
      const world = parent.root === null ? null : this.#ctx.world(parent.seeds.world);
      const opens = world ? await openings(model.losses, before, requestedFact(world, prompt)) : null;
      const others: TokenExpectation[][] = [];
      for (const at of [0, last]) {
        signal.throwIfAborted();
        await model.move(attack, at);
        others.push(at === step ? own : await seen());
      }
      const { tokens, nodeId: _, ...rest } = answer;
      const found: ScrubAnswer = {
        ...rest,
        tokens: sights(
          own,
          tokens.map((t) => t.text),
          (id) => voice.spell(id),
          others,
        ),
        openings: opens,
      };
      this.#answers.set(key, found);
      await this.#keep(attack, step, { answer: found });
      return found;
    });
  }

  /** What a fixed set of prompts is answered at a step. @throws LabError where nobody can judge the answers */
  async look(
    { runId, step }: { runId: string; step: number },
    onPart: (soFar: StepLook) => void,
    signal: AbortSignal,
  ): Promise<StepLook> {
    const attack = await this.#known(runId);
    const key = keyOf(attack, step);
    const known = this.#looks.get(key);
    if (known) return known;
    const parent = await this.#ctx.node(attack.parentId);
    if (parent.root === null)
      throw new LabError('bad-input', `'${parent.name}' was opened, and there is no judge for its answers.`, {
        safe: 'Nothing was changed.',
        next: 'Read its answers; models of the tiny world can be judged.',
      });
    const world = this.#ctx.world(parent.seeds.world);
    return this.#with(attack, step, signal, async (model) => {
      const found = await watch(model.generator, world, watchSet(world), { signal, onPart });
      this.#looks.set(key, found);
      await this.#keep(attack, step, { look: found });
      return found;
    });
  }

  /** Everything that is known of an attack's steps without asking a model: read from the disk once. */
  async looks(runId: string): Promise<{ step: number; look: StepLook }[]> {
    const attack = await this.#known(runId);
    return attack.steps.flatMap(({ step }) => {
      const look = this.#looks.get(keyOf(attack, step));
      return look ? [{ step, look }] : [];
    });
  }

  /** Checkpoints went: which attacks there are, and where their steps lie, is read again. */
  forget(): void {
    this.#attacks.clear();
  }

  /** Frees the GPU. */
  release(): Promise<void> {
    return this.#inTurn(async () => {
      this.#model?.destroy();
      this.#model = null;
    });
  }

  async #known(runId: string): Promise<ScrubAttack> {
    const attack = this.#attacks.get(runId) ?? (await this.attacks()).find((one) => one.runId === runId);
    if (!attack)
      throw new LabError('not-found', 'This attack is not in this browser any more.', {
        safe: 'All other checkpoints are untouched.',
        next: 'Choose another attack, or run it again.',
      });
    if (!this.#recalled.has(runId)) {
      this.#recalled.add(runId);
      const { nodeId } = attack.steps.at(-1)!;
      const stored = nodeId ? await this.#ctx.store.evaluations(nodeId) : [];
      for (const one of stored) {
        if (!('kind' in one) || one.kind !== 'scrubbed' || one.version !== SCRUB_VERSION) continue;
        const { step, answer, look, last } = one;
        if (answer) this.#answers.set(keyOf(attack, step, answer.prompt, last), answer);
        if (look) this.#looks.set(keyOf(attack, step), look);
      }
    }
    return attack;
  }

  /** Of a run that has its last checkpoint: until then its steps may still be trained again. */
  async #keep(
    { runId, steps }: ScrubAttack,
    step: number,
    found: Pick<Scrubbed, 'answer' | 'look'>,
  ): Promise<void> {
    const { from, nodeId, step: last } = steps.at(-1)!;
    if (from !== 'node' || nodeId === undefined) return;
    const record: Scrubbed = {
      kind: 'scrubbed',
      version: SCRUB_VERSION,
      nodeId,
      runId,
      step,
      last,
      ...found,
      createdAt: Date.now(),
    };
    // what cannot be written is asked again next time
    await this.#ctx.store.addEvaluation(record, (node) => node).catch(() => {});
  }

  /** Runs `work` with the model of a step, in its turn on the GPU. */
  #with<T>(
    attack: ScrubAttack,
    step: number,
    signal: AbortSignal,
    work: (model: StepModel) => Promise<T>,
  ): Promise<T> {
    return this.#inTurn(async () => {
      signal.throwIfAborted();
      return this.#ctx.gate.run(
        PRIORITY.chat,
        async () => {
          const model = await this.#modelOf(attack);
          await model.move(attack, step);
          return work(model);
        },
        signal,
      );
    });
  }

  async #modelOf(attack: ScrubAttack): Promise<StepModel> {
    if (this.#model?.runId === attack.runId) return this.#model;
    this.#model?.destroy();
    this.#model = null;
    const { parentId, runId, steps } = attack;
    const last = steps.findLast((s) => s.from === 'node');
    const run = (await this.#runs.list()).find((r) => r.id === runId);
    const made = last ? await this.#ctx.node(last.nodeId!) : await trainedBy(this.#ctx, run!);
    const parent = await this.#ctx.node(parentId);
    return (this.#model = await StepModel.open(this.#ctx, this.#models, runId, parent, made));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work, work);
    this.#turn = result.catch(() => {});
    return result;
  }
}

/**
 * A step that was kept, rounded, and is then saved has other weights: where they come from is part of it.
 * @param last of an answer: the step that its tokens are compared with
 */
const keyOf = ({ runId, steps }: ScrubAttack, step: number, prompt = '', last = 0): string =>
  JSON.stringify([runId, step, steps.find((s) => s.step === step)?.from, prompt, last]);
