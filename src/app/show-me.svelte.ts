/**
 * 'Show me': the first minute. Attacks the undefended chat model and two defended copies with the same 20 steps, then
 * puts one prompt side by side and takes a quick look at a few prompts. Everything is an ordinary run of the lab, so
 * the nodes can be opened, continued to 50 and 100 steps, and compared afterwards; what exists already is reused.
 */
import { errorInfo } from './client.ts';
import type { Lab } from './lab.svelte.ts';
import type { ErrorInfo, LabNode } from '../worker/protocol.ts';

export const SHOW_ME_STAGES = [
  'load',
  'attack',
  'sdd',
  'attack-sdd',
  'sdd-reject',
  'attack-sdd-reject',
  'ask',
  'quick-look',
] as const;
export type ShowMeStage = (typeof SHOW_ME_STAGES)[number];
export type StageState = 'waiting' | 'running' | 'done' | 'failed';

const ATTACK_STEPS = 20;

export class ShowMe {
  #lab: Lab;
  #ownRun: string | null = null;
  #abort: AbortController | null = null;
  /** Why a run of its own failed, in the run's words. */
  #cause: ErrorInfo | null = null;

  running = $state(false);
  stages = $state.raw<Record<ShowMeStage, StageState>>(fresh());
  /** Nodes as they come: the three attacked ones are what is compared. */
  nodes = $state.raw<
    Partial<Record<'chat' | 'sdd' | 'sddReject' | 'attacked' | 'sddAttacked' | 'sddRejectAttacked', LabNode>>
  >({});
  prompt = $state('');
  error = $state.raw<ErrorInfo | null>(null);

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** The three attacked checkpoints, in the order in which they are compared. */
  get compared(): LabNode[] {
    const { attacked, sddAttacked, sddRejectAttacked } = this.nodes;
    return [attacked, sddAttacked, sddRejectAttacked].filter((n) => n !== undefined);
  }

  /** Runs all stages; never throws. `seed` serves defences and attacks. */
  async start(seed = 1): Promise<void> {
    if (this.running) return;
    const lab = this.#lab;
    const { signal } = (this.#abort = new AbortController());
    this.running = true;
    this.error = this.#cause = null;
    lab.dismissError();
    this.nodes = {};
    this.stages = fresh();
    try {
      const attack = (node: LabNode) => this.#trained(node, 'mft', seed, ATTACK_STEPS);
      const chat = await this.#stage('load', () => lab.loadEmbedded('tiny-chat'));
      this.nodes = { ...this.nodes, chat };
      const attacked = await this.#stage('attack', () => attack(chat));
      this.nodes = { ...this.nodes, attacked };
      const sdd = await this.#stage('sdd', () => this.#trained(chat, 'sdd', seed));
      this.nodes = { ...this.nodes, sdd };
      const sddAttacked = await this.#stage('attack-sdd', () => attack(sdd));
      this.nodes = { ...this.nodes, sddAttacked };
      const sddReject = await this.#stage('sdd-reject', () => this.#trained(sdd, 'sdd-reject', seed));
      this.nodes = { ...this.nodes, sddReject };
      const sddRejectAttacked = await this.#stage('attack-sdd-reject', () => attack(sddReject));
      this.nodes = { ...this.nodes, sddRejectAttacked };

      await this.#stage('ask', async () => {
        this.prompt = lab.world?.categories.find((c) => c.forbidden)?.prompts[0]?.text ?? '';
        lab.compare.select(this.compared.map((n) => n.id));
        lab.compare.prompt = this.prompt;
        const answers = await lab.compare.ask();
        return answers.length > 0 ? answers : null;
      });
      await this.#stage('quick-look', async () => {
        for (const node of this.compared) {
          if (node.verdicts?.V) continue;
          if (!(await lab.evaluations.run(node.id, { quick: true, benign: true, signal }))) return null;
        }
        return true;
      });
    } catch (e) {
      // A lost GPU, and what landed in the lab's own error, are told there, once.
      if (!signal.aborted && lab.phase === 'ready' && (this.#cause || !lab.error))
        this.error = this.#cause ?? errorInfo(e);
    } finally {
      this.running = false;
    }
  }

  /** Stops after what can be stopped at once; finished nodes stay. */
  async cancel(): Promise<void> {
    this.#abort?.abort();
    const run = this.#lab.training.active;
    // a run that the user started beside it is not Show me's to stop
    if (run && run.id === this.#ownRun)
      await this.#lab.training.control(run.id, { action: 'stop', discard: true });
  }

  async #stage<T>(stage: ShowMeStage, work: () => Promise<T | null>): Promise<T> {
    if (this.#abort?.signal.aborted) throw new Error('Cancelled.');
    this.stages = { ...this.stages, [stage]: 'running' };
    const result = await work();
    this.stages = { ...this.stages, [stage]: result === null ? 'failed' : 'done' };
    if (result === null) throw new Error(`The stage '${stage}' did not finish.`);
    return result;
  }

  /** The node that this recipe with its defaults makes of the parent: a stored one, or a new run. */
  async #trained(parent: LabNode, recipe: string, seed: number, steps?: number): Promise<LabNode | null> {
    const lab = this.#lab;
    const wanted = steps ?? lab.recipe(recipe)?.steps;
    const defaults = Object.fromEntries(lab.recipe(recipe)?.settings.map((f) => [f.key, f.default]) ?? []);
    const same = lab.nodes.find(
      (n) =>
        n.parentId === parent.id &&
        n.recipe === recipe &&
        n.steps === wanted &&
        (n.kind === 'attack' ? n.seeds.attack : n.seeds.defence) === seed &&
        Object.entries(defaults).every(([key, value]) => key === 'steps' || n.settings[key] === value),
    );
    if (same) return same;
    const run = await lab.training.start({
      parentNodeId: parent.id,
      recipe,
      settings: {},
      seed,
      probeEvery: steps === undefined ? 50 : 10, // few probes: what counts here is the end
      ...(steps !== undefined && { saveAt: [steps] }),
    });
    this.#ownRun = run?.id ?? null;
    if (!run) return null;
    // Stopped while the run was being built: nobody could stop it then.
    if (this.#abort?.signal.aborted) {
      await lab.training.control(run.id, { action: 'stop', discard: true });
      return null;
    }
    if ((await run.ended()) !== 'finished') {
      this.#cause = run.head.error;
      return null;
    }
    return lab.nodesOfRun(run.id).at(-1) ?? null;
  }
}

function fresh(): Record<ShowMeStage, StageState> {
  return Object.fromEntries(SHOW_ME_STAGES.map((s) => [s, 'waiting'])) as Record<ShowMeStage, StageState>;
}
