/** The matrix on a user's own model and prompts: {model, model + SDD} x {nothing, MFT, BFT}. */
import type { Settings } from '../../core/settings.ts';
import type { Task } from '../../data/task.ts';
import type { TaskScores } from '../../eval/held-out.ts';
import { prepare, type Prepared } from '../../recipes/prepare.ts';
import { settle, type Recipe } from '../../recipes/recipe.ts';
import { Progress } from '../progress.ts';
import type { CellStore } from './cells.ts';
import type { RunSeeds } from './matrix.ts';
import type { AdapterState, OwnLab, OwnState } from './own-lab.ts';

/** A run of the matrix: a recipe on top of a model, looked at after some numbers of steps. */
export interface OwnRun {
  recipe: Recipe;
  settings: Settings;
  at: readonly number[];
}

export interface OwnModel {
  id: string;
  parent: string | null;
  /** What makes it of its parent: a run, or an adapter that was trained elsewhere. */
  made: OwnRun | AdapterState | null;
  attacked: boolean;
}

export interface OwnCell {
  model: string;
  attack: string;
  steps: number;
  /** Those that it depends on; none for a model that nothing here has trained. */
  seeds: Partial<RunSeeds>;
  settings: Settings;
  /** Training loss of the last step; null for a model that is only looked at. */
  loss: number | null;
  scores: TaskScores;
}

export interface OwnPlan {
  models: readonly OwnModel[];
  attacks: readonly (OwnRun & { id: string })[];
  seeds: RunSeeds;
}

/** A run with every setting settled for this data; its steps are the last station. */
export function ownRun(task: Task, recipe: Recipe, own: Settings, at?: readonly number[]): OwnRun {
  const last = at?.at(-1);
  const settings = settle(recipe, { ...own, ...(last !== undefined && { steps: last }) }, task);
  return { recipe, settings, at: at ?? [recipe.plan(settings).steps] };
}

export const preparedRun = (task: Task, { recipe, settings }: OwnRun, seeds: RunSeeds): Prepared =>
  prepare(recipe, task, settings, recipe.kind === 'defence' ? seeds.defence : seeds.attack);

const UNTOUCHED: OwnState = { weights: null, adapters: [] };

/** One repetition: trains and looks at what is not stored yet. */
export class OwnMatrix {
  readonly cells: OwnCell[] = [];
  readonly failures: { model: string; attack: string; seeds: RunSeeds; why: string }[] = [];
  readonly #lab: OwnLab;
  readonly #store: CellStore;
  readonly #plan: OwnPlan;
  readonly #made = new Map<string, OwnState>();
  readonly #progress: Progress;
  #steps = 0;

  constructor(lab: OwnLab, store: CellStore, plan: OwnPlan, label = 'own model') {
    this.#lab = lab;
    this.#store = store;
    this.#plan = plan;
    const attacked = plan.models.filter((m) => m.attacked).length;
    const steps = (runs: readonly (OwnRun | null)[]): number =>
      runs.reduce((sum, run) => sum + (run?.at.at(-1) ?? 0), 0);
    const own = plan.models.map((m) => (m.made && 'recipe' in m.made ? m.made : null));
    this.#progress = new Progress(label, steps(own) + attacked * steps(plan.attacks));
  }

  async run(): Promise<void> {
    for (const model of this.#plan.models) {
      await this.#guarded(model.id, 'none', () => this.#look(model));
      for (const attack of model.attacked ? this.#plan.attacks : [])
        await this.#guarded(model.id, attack.id, () => this.#attack(model, attack));
    }
    this.#progress.done(`${this.cells.length} cells`);
  }

  async #guarded(model: string, attack: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.failures.push({ model, attack, seeds: this.#plan.seeds, why });
      process.stderr.write(`\n${model} x ${attack} failed: ${why}\n`);
    }
  }

  /** What a cell depends on: the defence's seed where one was trained below it, the attack's where one is trained. */
  #seeds(model: string, attacked: boolean): Partial<RunSeeds> {
    const { models, seeds } = this.#plan;
    const trained = (id: string | null): boolean => {
      const spec = models.find((m) => m.id === id);
      return spec !== undefined && ((spec.made && 'recipe' in spec.made) || trained(spec.parent));
    };
    return {
      ...(trained(model) && { defence: seeds.defence }),
      ...(attacked && { attack: seeds.attack }),
    };
  }

  /** A cell's name holds only the seeds that it depends on: repetitions share what they have in common. */
  #key(model: string, attack: string, steps: number | 'weights'): (string | number)[] {
    const { defence, attack: own } = this.#seeds(model, attack !== 'none');
    return [
      model,
      ...(defence === undefined ? [] : [`d${defence}`]),
      attack,
      ...(own === undefined ? [] : [`a${own}`]),
      steps,
    ];
  }

  #keep(cell: Omit<OwnCell, 'seeds'>): void {
    const whole = { ...cell, seeds: this.#seeds(cell.model, cell.attack !== 'none') };
    this.#store.write(whole, ...this.#key(cell.model, cell.attack, cell.steps));
    this.cells.push(whole);
  }

  async #look(model: OwnModel): Promise<void> {
    const stored = this.#store.read<OwnCell>(...this.#key(model.id, 'none', 0));
    if (stored) this.cells.push(stored);
    else {
      const scores = await this.#lab.evaluate(await this.#state(model.id));
      this.#keep({ model: model.id, attack: 'none', steps: 0, settings: {}, loss: null, scores });
    }
  }

  async #attack(model: OwnModel, attack: OwnRun & { id: string }): Promise<void> {
    const stored = attack.at.map((steps) =>
      this.#store.read<OwnCell>(...this.#key(model.id, attack.id, steps)),
    );
    if (stored.every((cell) => cell !== null)) {
      this.cells.push(...stored);
      this.#steps += attack.at.at(-1)!;
      return;
    }
    await this.#train(
      await this.#state(model.id),
      attack,
      `${model.id} x ${attack.id}`,
      async (steps, state, loss) =>
        this.#keep({
          model: model.id,
          attack: attack.id,
          steps,
          settings: attack.settings,
          loss,
          scores: await this.#lab.evaluate(state),
        }),
    );
  }

  #train(
    from: OwnState,
    run: OwnRun,
    name: string,
    station: (steps: number, state: OwnState, loss: number) => Promise<void>,
  ): Promise<void> {
    return this.#lab.train(from, preparedRun(this.#lab.task, run, this.#plan.seeds), {
      at: run.at,
      station,
      onStep: (step, total, loss) =>
        this.#progress.update(++this.#steps, `${name} step ${step}/${total} loss ${loss.toFixed(3)}`),
    });
  }

  /** What a model is made of; trained now if it is not stored. */
  async #state(id: string): Promise<OwnState> {
    const known = this.#made.get(id);
    if (known) return known;
    const { parent, made } = this.#plan.models.find((m) => m.id === id)!;
    const state = made === null ? UNTOUCHED : await this.#make(id, await this.#state(parent!), made);
    this.#made.set(id, state);
    return state;
  }

  async #make(id: string, from: OwnState, made: OwnRun | AdapterState): Promise<OwnState> {
    if (!('recipe' in made)) return { ...from, adapters: [...from.adapters, made] };
    const { lora } = made.recipe.plan(made.settings);
    const key = this.#key(id, 'none', 'weights');
    const stored = this.#store.readWeights(...key);
    if (stored) {
      this.#steps += made.at.at(-1)!;
      return lora
        ? { ...from, adapters: [...from.adapters, { lora, values: stored }] }
        : { ...from, weights: stored };
    }
    let end: OwnState | null = null;
    await this.#train(from, made, `making ${id}`, async (_, state) => {
      end = state;
    });
    if (!end) throw new Error(`${id} did not come to the end of its steps`);
    const { weights, adapters } = end as OwnState;
    this.#store.writeWeights(lora ? adapters.at(-1)!.values : weights!, ...key);
    return end;
  }
}
