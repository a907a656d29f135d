/**
 * 'Show me': the first minute. Attacks the undefended chat model and two defended copies in the same way, takes a quick
 * look at what each says before and after, and puts one question to all of them. Everything is an ordinary run of the
 * lab: what is shown is read from the stored nodes and their verdicts, so it is there again after a reload, what exists
 * already is not made twice, and nothing is shown that was not run.
 */
import { errorInfo } from './client.ts';
import type { Lab } from './lab.svelte.ts';
import { AMOUNTS, attacked, attackTo, makeSeries, settled, type AttackSeries } from './series.ts';
import { GREEDY, HELD_OUT, type ErrorInfo, type JudgedAnswer, type LabNode } from '../worker/protocol.ts';

export const SHOW_ME_STAGES = [
  'load',
  'attack',
  'sdd',
  'attack-sdd',
  'sdd-reject',
  'attack-sdd-reject',
  'quick-look',
  'ask',
] as const;
export type ShowMeStage = (typeof SHOW_ME_STAGES)[number];
export type StageState = 'waiting' | 'running' | 'done' | 'failed';

/** Serves defences and attacks. */
const SEED = 1;
/** Steps between looks while training: few, because what counts here is the end. */
const PROBE_EVERY = { defence: 50, attack: 10 };
const FIRST = AMOUNTS[0];

export class ShowMe {
  #lab: Lab;
  #ownRun: string | null = null;
  #abort: AbortController | null = null;
  /** Why a run of its own failed, in the run's words. */
  #cause: ErrorInfo | null = null;

  running = $state(false);
  /** The amount of attack training that is being made, while `running`. */
  target = $state<number>(FIRST);
  error = $state.raw<ErrorInfo | null>(null);
  #now = $state<ShowMeStage | null>(null);
  #failed = $state<ShowMeStage | null>(null);

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  // ------------------------------------------------------------------------------------------------------- readings

  /** The attack, with its defaults. */
  get series(): AttackSeries | null {
    const mft = this.#lab.recipe('mft');
    return mft && makeSeries(mft, {}, SEED);
  }

  /** The undefended model and its two defended copies, as far as they are there. */
  get models(): LabNode[] {
    const chat = this.#lab.nodes.findLast((n) => n.kind === 'base' && n.root === 'tiny-chat');
    const sdd = chat && this.#defended(chat, 'sdd');
    const sddReject = sdd && this.#defended(sdd, 'sdd-reject');
    return [chat, sdd, sddReject].filter((n) => n !== undefined);
  }

  /** What the attack has made of a model with this many steps; 0: the model itself. */
  after(model: LabNode, steps: number): LabNode | undefined {
    if (steps === 0) return model;
    return this.series ? attacked(this.#lab.nodes, this.series, model.id, steps) : undefined;
  }

  /** Every node on show, before and after. */
  get shown(): LabNode[] {
    return this.models.flatMap((m) => [0, ...AMOUNTS].flatMap((steps) => this.after(m, steps) ?? []));
  }

  /** The question that stands beside its answers: the first of a quick look. */
  get prompt(): string {
    const found = this.shown.flatMap((n) => this.#evaluations(n.id));
    return (found.find((e) => e.quick) ?? found[0])?.answers[0]?.prompt ?? '';
  }

  /** What a node said to the prompt when it was judged, read from the stored answers. */
  recorded(nodeId: string): JudgedAnswer | undefined {
    const { prompt } = this;
    return this.#evaluations(nodeId)
      .flatMap((e) => e.answers)
      .find((a) => a.prompt === prompt);
  }

  get stages(): Record<ShowMeStage, StageState> {
    const [chat, sdd, sddReject] = this.models;
    const hit = (model: LabNode | undefined): boolean => !!model && this.after(model, FIRST) !== undefined;
    const judged = hit(chat) && hit(sdd) && hit(sddReject) && this.shown.every((n) => n.verdicts?.[HELD_OUT]);
    const done: Record<ShowMeStage, boolean> = {
      load: !!chat,
      attack: hit(chat),
      sdd: !!sdd,
      'attack-sdd': hit(sdd),
      'sdd-reject': !!sddReject,
      'attack-sdd-reject': hit(sddReject),
      'quick-look': judged,
      // the judged answers hold the question, so it needs no asking again
      ask: judged && !this.running,
    };
    const state = (stage: ShowMeStage): StageState =>
      stage === this.#now ? 'running' : stage === this.#failed ? 'failed' : done[stage] ? 'done' : 'waiting';
    return Object.fromEntries(SHOW_ME_STAGES.map((s) => [s, state(s)])) as Record<ShowMeStage, StageState>;
  }

  // --------------------------------------------------------------------------------------------------------- actions

  /** Everything up to the first amount of attack training; never throws. */
  start(): Promise<void> {
    return this.#attempt(FIRST, async () => {
      const chat = await this.#stage('load', () => this.#lab.loadEmbedded('tiny-chat'));
      await this.#stage('attack', () => this.#attacked(chat, FIRST));
      const sdd = await this.#stage('sdd', () => this.#train(chat, 'sdd'));
      await this.#stage('attack-sdd', () => this.#attacked(sdd, FIRST));
      const sddReject = await this.#stage('sdd-reject', () => this.#train(sdd, 'sdd-reject'));
      await this.#stage('attack-sdd-reject', () => this.#attacked(sddReject, FIRST));
      await this.#look();
    });
  }

  /** The same attack on all three, made longer; never throws. */
  keepGoing(steps: number): Promise<void> {
    return this.#attempt(steps, async () => {
      const stages = ['attack', 'attack-sdd', 'attack-sdd-reject'] as const;
      for (const [i, model] of this.models.entries())
        await this.#stage(stages[i]!, () => this.#attacked(model, steps));
      await this.#look();
    });
  }

  /** Stops after what can be stopped at once; finished nodes stay. */
  async cancel(): Promise<void> {
    this.#abort?.abort();
    this.#lab.compare.cancel();
    const run = this.#lab.training.active;
    // a run that the user started beside it is not Show me's to stop
    if (run && run.id === this.#ownRun)
      await this.#lab.training.control(run.id, { action: 'stop', discard: true });
  }

  // --------------------------------------------------------------------------------------------------------- within

  async #attempt(target: number, work: () => Promise<void>): Promise<void> {
    if (this.running) return;
    const { signal } = (this.#abort = new AbortController());
    this.running = true;
    this.target = target;
    this.error = this.#cause = this.#failed = null;
    this.#lab.dismissError();
    try {
      await work();
    } catch (e) {
      // A lost GPU, and what landed in the lab's own error, are told there, once.
      if (!signal.aborted && this.#lab.phase === 'ready' && (this.#cause || !this.#lab.error))
        this.error = this.#cause ?? errorInfo(e);
    } finally {
      this.running = false;
      this.#now = null;
    }
  }

  async #stage<T>(stage: ShowMeStage, work: () => Promise<T | null>): Promise<T> {
    if (this.#abort?.signal.aborted) throw new Error('Cancelled.');
    this.#now = stage;
    const result = await work();
    this.#now = null;
    if (result !== null) return result;
    this.#failed = stage;
    throw new Error(`The stage '${stage}' did not finish.`);
  }

  /** Judges what is not judged yet, the models before the attack as well, and asks them all one of the questions. */
  async #look(): Promise<void> {
    const { compare, evaluations } = this.#lab;
    const signal = this.#abort!.signal;
    await this.#stage('quick-look', async () => {
      for (const node of this.shown) {
        if (node.verdicts?.[HELD_OUT]) continue;
        if (!(await evaluations.run(node.id, { quick: true, benign: true, signal }))) return null;
      }
      return true;
    });
    await this.#stage('ask', async () => {
      for (const node of this.shown) if (!this.#evaluations(node.id).length) await evaluations.open(node.id);
      compare.select(this.shown.map((n) => n.id));
      compare.prompt = this.prompt;
      // beside figures of greedy answers, whatever the user has set in Compare
      const answers = await compare.ask(GREEDY);
      return answers.length === this.shown.length ? answers : null;
    });
  }

  #evaluations(nodeId: string) {
    return (this.#lab.evaluations.byNode[nodeId] ?? []).filter((e) => e.set === HELD_OUT);
  }

  /** The node that a defence with its defaults has made of the parent. */
  #defended(parent: LabNode, id: string): LabNode | undefined {
    const recipe = this.#lab.recipe(id);
    if (!recipe) return undefined;
    const defaults = Object.entries(settled(recipe, {}));
    return this.#lab.nodes.find(
      (n) =>
        n.parentId === parent.id &&
        n.recipe === id &&
        n.steps === recipe.steps &&
        n.seeds.defence === SEED &&
        defaults.every(([key, value]) => n.settings[key] === value),
    );
  }

  async #train(parent: LabNode, recipe: string): Promise<LabNode | null> {
    const known = this.#defended(parent, recipe);
    if (known) return known;
    const params = { parentNodeId: parent.id, recipe, settings: {}, seed: SEED };
    const run = await this.#lab.training.start({ ...params, probeEvery: PROBE_EVERY.defence });
    return this.#finished(run);
  }

  async #attacked(parent: LabNode, steps: number): Promise<LabNode | null> {
    const known = this.after(parent, steps);
    if (known) return known;
    const { training, nodes } = this.#lab;
    const { series } = this;
    return this.#finished(
      series && (await attackTo(training, nodes, series, parent.id, steps, PROBE_EVERY.attack)),
    );
  }

  /** The last node of a run, when it has finished. */
  async #finished(run: Awaited<ReturnType<typeof attackTo>>): Promise<LabNode | null> {
    this.#ownRun = run?.id ?? null;
    if (!run) return null;
    // Stopped while the run was being built: nobody could stop it then.
    if (this.#abort?.signal.aborted) {
      await this.#lab.training.control(run.id, { action: 'stop', discard: true });
      return null;
    }
    if ((await run.ended()) !== 'finished') {
      this.#cause = run.head.error;
      return null;
    }
    return this.#lab.nodesOfRun(run.id).at(-1) ?? null;
  }
}
