import { recipe } from '../../recipes/index.ts';
import { settle } from '../../recipes/recipe.ts';
import type { RunCost } from '../../core/run-cost.ts';
import type { Settings } from '../../core/settings.ts';
import type { Battery, Reference } from '../../eval/measures/battery.ts';
import { Progress } from '../progress.ts';
import { gridAttacks, gridModels, stationsOf } from './stations.ts';
import type { Cell, CellStore, Made } from './cells.ts';
import type { ExperimentLab } from './lab.ts';
import { between, placeOf, type Place } from './matched.ts';
import { ATTACKS, modelOf, rootOf } from './matrix.ts';
import type { AttackSpec, ModelSpec, Preset, RunSeeds } from './matrix.ts';

/** A run that did not finish, and why. */
export interface Failure {
  model: string;
  attack: string;
  seeds: RunSeeds;
  why: string;
}

/** A look at a model: after so many steps of an attack. */
export interface Planned {
  model: string;
  attack: string;
  steps: number;
}

/** What one look at a model costs, in gradient evaluations: for the time left only. */
const LOOK_UNITS = { battery: 60, grid: 20, ability: 10 };
/** Looks until a place of matched ability is found, about. */
const PLACING = 5;

/** Work done of all that is to come, in gradient evaluations, over every repetition: for the time left. */
export class Work {
  #done = 0;
  readonly #progress: Progress;

  constructor(label: string, total: number) {
    this.#progress = new Progress(label, Math.max(1, total));
  }

  advance(units: number, note: string): void {
    this.#done += units;
    this.#progress.update(Math.round(this.#done), note);
  }

  done(note: string): void {
    this.#progress.done(note);
  }
}

/** One repetition of the matrix or of the grid: trains what is not stored yet, and looks at it. */
export class Repetition {
  readonly failures: Failure[] = [];
  readonly cells: Cell[] = [];
  /** Every look that the repetition set out to take, whether its run finished or not. */
  readonly planned: Planned[] = [];
  readonly #lab: ExperimentLab;
  readonly #store: CellStore;
  readonly #preset: Preset;
  readonly #seeds: RunSeeds;
  readonly #protocol: string;
  /** The embedded models' weights by model id. */
  readonly #embedded: ReadonlyMap<string, Float32Array>;
  /** Why a defence could not be made, by model id: it is not tried again for the next attack. */
  readonly #broken = new Map<string, string>();
  /** The embedded models, as what others are laid beside. */
  readonly #references: ReadonlyMap<string, Reference>;
  /** Take the other measures as well. */
  #battery = false;
  #work: Work | null = null;
  #label = '';

  constructor(
    lab: ExperimentLab,
    store: CellStore,
    preset: Preset,
    seeds: RunSeeds,
    embedded: ReadonlyMap<string, Float32Array>,
    protocol: string,
  ) {
    this.#lab = lab;
    this.#store = store;
    this.#preset = preset;
    this.#seeds = seeds;
    this.#protocol = protocol;
    this.#embedded = embedded;
    this.#references = new Map([...embedded].map(([id, weights]) => [id, lab.reference(weights)]));
  }

  /**
   * Every one of the models x every one of the attacks.
   * @param work of several repetitions; absent: of this one alone
   */
  async matrix(
    label: string,
    models: readonly ModelSpec[],
    attacks: readonly AttackSpec[],
    work = new Work(label, this.cost(models, attacks, true)),
  ): Promise<void> {
    this.#battery = true;
    await this.#all(label, models, attacks, work);
  }

  /** MFT over learning rates, with and without the defence. */
  async grid(label: string, work = new Work(label, this.gridCost())): Promise<void> {
    this.#battery = false;
    await this.#all(label, gridModels(), gridAttacks(), work);
  }

  /** What is still to be done, in gradient evaluations. @param seen what other repetitions do as well, and do first */
  cost(
    models: readonly ModelSpec[],
    attacks: readonly AttackSpec[],
    battery: boolean,
    seen = new Set<string>(),
  ): number {
    const first = (key: readonly (string | number)[]): boolean => {
      const name = key.join(' ');
      return !seen.has(name) && seen.add(name) !== undefined;
    };
    const look = battery ? LOOK_UNITS.battery : LOOK_UNITS.grid;
    let units = 0;
    for (const model of models) {
      const open = attacks.filter(
        (attack) => !this.#stored(model, attack) && first(this.#key(model, attack, 'weights')),
      );
      for (const attack of open) {
        const at = this.#stations(attack);
        units += at.at(-1)! + at.length * look;
      }
      if (open.length > 0 && first(this.#modelKey(model))) units += this.#makingCost(model);
    }
    return units;
  }

  gridCost(seen?: Set<string>): number {
    return this.cost(gridModels(), gridAttacks(), false, seen);
  }

  #makingCost(model: ModelSpec): number {
    if (this.#embedded.has(model.id) || this.#store.readWeights(...this.#modelKey(model))) return 0;
    if (model.between) return PLACING * LOOK_UNITS.ability;
    const settings = this.#settings(model.recipe!, model.settings);
    const { plan, needs } = recipe(model.recipe!);
    return plan(settings).steps * (needs?.(settings).gradients ?? 1);
  }

  async #all(
    label: string,
    models: readonly ModelSpec[],
    attacks: readonly AttackSpec[],
    work: Work,
  ): Promise<void> {
    const todo = models.flatMap((model) => attacks.map((attack) => ({ model, attack })));
    for (const { model, attack } of todo) {
      for (const steps of this.#stations(attack))
        this.planned.push({ model: model.id, attack: attack.id, steps });
    }
    this.#label = label;
    this.#work = work;
    for (const { model, attack } of todo) await this.#guarded(model, attack);
    work.done(`${label}: ${this.cells.length} cells`);
  }

  #stations(attack: AttackSpec): number[] {
    return stationsOf(attack, this.#preset.divide);
  }

  #stored(model: ModelSpec, attack: AttackSpec): boolean {
    return this.#stations(attack).every((steps) => this.#store.read(...this.#key(model, attack, steps)));
  }

  #modelKey(model: ModelSpec, what = 'weights'): (string | number)[] {
    return [model.id, `d${this.#seeds.defence}`, what];
  }

  /** A cell's name: it holds only the seeds that the cell depends on, so repetitions share what they have in common. */
  #key(model: ModelSpec, attack: AttackSpec, steps: number | 'weights'): (string | number)[] {
    const defence = model.parent !== null ? [`d${this.#seeds.defence}`] : [];
    const seed = attack.recipe ? [`a${this.#seeds.attack}`] : [];
    return [model.id, ...defence, attack.id, ...seed, steps];
  }

  async #guarded(model: ModelSpec, attack: AttackSpec): Promise<void> {
    try {
      await this.#attack(model, attack);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.failures.push({ model: model.id, attack: attack.id, seeds: this.#seeds, why });
      process.stderr.write(`\n${model.id} x ${attack.id} failed: ${why}\n`);
    }
  }

  async #attack(model: ModelSpec, attack: AttackSpec): Promise<void> {
    const at = this.#stations(attack);
    const stored = at.map((steps) => this.#store.read<Cell>(...this.#key(model, attack, steps)));
    const feeds = ATTACKS.some((a) => a.after === attack.id);
    const complete = stored.every((cell) => cell !== null);
    if (complete && (!feeds || this.#store.readWeights(...this.#key(model, attack, 'weights')))) {
      // What is shared with other repetitions carries the seeds of the one that took it first.
      this.cells.push(...(stored as Cell[]).map((cell) => ({ ...cell, seeds: this.#seeds })));
      return;
    }
    // whose weights another attack starts from has to be run
    if (!feeds && !attack.after && (await this.#asDefended(model, attack))) return;
    const name = `${model.id} x ${attack.id}`;
    const settings = attack.recipe ? this.#settings(attack.recipe, attack.settings, at.at(-1)!) : {};
    let parent: Reference | null = null;
    const look = async (
      steps: number,
      weights: Float32Array,
      loss: number | null,
      cost: RunCost | null,
    ): Promise<void> => {
      // an interrupted run goes the same way again, and is looked at only where it was not
      const known = stored[at.indexOf(steps)];
      if (known) return void this.cells.push({ ...known, seeds: this.#seeds });
      const scores = await this.#lab.evaluate(weights, {
        sets: this.#preset.sets,
        benign: true,
        ...(this.#preset.limit ? { limit: this.#preset.limit } : {}),
      });
      const cell: Cell = {
        id: this.#key(model, attack, steps).join(' '),
        model: model.id,
        attack: attack.id,
        steps,
        worldSeed: this.#lab.world.seed,
        seeds: this.#seeds,
        settings,
        loss,
        cost,
        made: this.#madeOf(model),
        ...(model.between && { place: this.#store.read<Place>(...this.#modelKey(model, 'place'))! }),
        scores,
        battery: this.#battery ? await this.#measure(model, weights, parent) : null,
        adapter: this.#lab.gpu.info.description,
        protocol: this.#protocol,
      };
      this.#store.write(cell, ...this.#key(model, attack, steps));
      this.cells.push(cell);
      this.#advance(this.#battery ? LOOK_UNITS.battery : LOOK_UNITS.grid, `${name} @${steps} looked at`);
    };
    const start = await this.#startOf(model, attack);
    parent = await this.#parentOf(model, attack, start);
    if (!attack.recipe) return look(0, start, null, null);
    await this.#lab.train(start, {
      recipe: attack.recipe,
      settings,
      seed: this.#seeds.attack,
      at,
      station: async (steps, weights, loss, cost) => {
        if (feeds && steps === at.at(-1)) {
          this.#store.writeWeights(weights, ...this.#key(model, attack, 'weights'));
        }
        await look(steps, weights, loss, cost);
      },
      onStep: (step, total, loss) =>
        this.#advance(1, `${name} step ${step}/${total} loss ${loss.toFixed(2)}`),
    });
  }

  /** A model that is abler than asked stands where the defended one does, and is not measured a second time. */
  async #asDefended(model: ModelSpec, attack: AttackSpec): Promise<boolean> {
    if (!model.between) return false;
    await this.#model(model);
    const place = this.#store.read<Place>(...this.#modelKey(model, 'place'))!;
    const defended = modelOf(model.between.toward)!;
    if (place.s !== 1 || defended.parent !== model.parent) return false;
    const at = this.#stations(attack);
    const known = at.flatMap((steps) => this.#store.read<Cell>(...this.#key(defended, attack, steps)) ?? []);
    if (known.length < at.length) return false;
    for (const cell of known) {
      const key = this.#key(model, attack, cell.steps);
      const own: Cell = { ...cell, id: key.join(' '), model: model.id, seeds: this.#seeds, place };
      this.#store.write(own, ...key);
      this.cells.push(own);
    }
    return true;
  }

  #measure(model: ModelSpec, weights: Float32Array, parent: Reference | null): Promise<Battery> {
    const { sets, facts } = this.#preset;
    const root = this.#references.get(rootOf(model).id)!;
    return this.#lab.measure(
      weights,
      { root, parent },
      {
        split: sets.includes('T') ? 'T' : 'V',
        ...(facts !== undefined && { facts }),
      },
    );
  }

  /** What was attacked, or without an attack what was defended; null: an embedded model, untouched. */
  async #parentOf(model: ModelSpec, attack: AttackSpec, start: Float32Array): Promise<Reference | null> {
    const parent = attack.recipe ? model : model.parent === null ? undefined : modelOf(model.parent);
    if (!this.#battery || !parent) return null;
    const embedded = this.#references.get(parent.id);
    if (embedded && !attack.after) return embedded;
    return this.#lab.reference(attack.recipe ? start : await this.#model(parent));
  }

  /** The weights that an attack meets: the model's, or those that an earlier attack left. */
  async #startOf(model: ModelSpec, attack: AttackSpec): Promise<Float32Array> {
    if (!attack.after) return this.#model(model);
    const before = ATTACKS.find((a) => a.id === attack.after)!;
    const weights = this.#store.readWeights(...this.#key(model, before, 'weights'));
    if (!weights) throw new Error(`it needs the weights after ${before.id}, and that run did not finish`);
    return weights;
  }

  /** A model's weights, defended now if they are not stored. */
  async #model(model: ModelSpec): Promise<Float32Array> {
    const embedded = this.#embedded.get(model.id);
    if (embedded) return embedded;
    const key = this.#modelKey(model);
    const stored = this.#store.readWeights(...key);
    if (stored) return stored;
    const broken = this.#broken.get(model.id);
    if (broken) throw new Error(broken);
    try {
      const made = await (model.between ? this.#place(model, model.between) : this.#make(model));
      this.#store.writeWeights(made, ...key);
      return made;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#broken.set(model.id, why.startsWith('its defence failed') ? why : `its defence failed: ${why}`);
      throw new Error(this.#broken.get(model.id)!, { cause: error });
    }
  }

  async #make(model: ModelSpec): Promise<Float32Array> {
    const parent = modelOf(model.parent!)!;
    const settings = this.#settings(model.recipe!, model.settings);
    const { plan, needs } = recipe(model.recipe!);
    const { steps } = plan(settings);
    const each = needs?.(settings).gradients ?? 1;
    let done: { weights: Float32Array; cost: RunCost } | null = null;
    await this.#lab.train(await this.#model(parent), {
      recipe: model.recipe!,
      settings,
      seed: this.#seeds.defence,
      at: [steps],
      station: async (_, weights, _loss, cost) => {
        done = { weights, cost };
      },
      onStep: (step, total, loss) =>
        this.#advance(each, `making ${model.id} step ${step}/${total} loss ${loss.toFixed(2)}`),
    });
    // the callback's assignment is out of the compiler's sight
    const end = done as { weights: Float32Array; cost: RunCost } | null;
    if (!end) throw new Error(`${model.id} did not come to the end of its ${steps} steps`);
    const made: Made = { model: model.id, recipe: model.recipe!, settings, cost: end.cost };
    this.#store.write(made, ...this.#modelKey(model, 'made'));
    return end.weights;
  }

  /** Weights between the undefended model and a defended one, at the ability that is asked for. */
  async #place(
    model: ModelSpec,
    { toward, ability }: NonNullable<ModelSpec['between']>,
  ): Promise<Float32Array> {
    const from = await this.#model(modelOf(model.parent!)!);
    const to = await this.#model(modelOf(toward)!);
    const { limit } = this.#preset;
    const place = await placeOf(ability, async (s) => {
      const scores = await this.#lab.evaluate(between(from, to, s), {
        ...{ sets: [], benign: true },
        ...(limit && { limit }),
      });
      const { mean } = scores.benign!;
      this.#advance(
        LOOK_UNITS.ability,
        `placing ${model.id}: ${Math.round(100 * mean)} % at ${s.toFixed(3)}`,
      );
      return mean;
    });
    this.#store.write(place, ...this.#modelKey(model, 'place'));
    return between(from, to, place.s);
  }

  /** The runs behind a model that was made or read. */
  #madeOf(model: ModelSpec): Made[] {
    const before = model.between?.toward ?? model.parent;
    const earlier = before === null ? [] : this.#madeOf(modelOf(before)!);
    const own = this.#store.read<Made>(...this.#modelKey(model, 'made'));
    return own ? [...earlier, own] : earlier;
  }

  /** Settings with the preset's number of steps; `steps` where the attack's stations decide it. */
  #settings(id: string, own: Settings | undefined, steps?: number): Settings {
    const r = recipe(id);
    const settings = settle(r, own);
    const full = r.plan(settings).steps;
    return { ...settings, steps: steps ?? Math.max(1, Math.round(full / this.#preset.divide)) };
  }

  #advance(units: number, note: string): void {
    this.#work?.advance(units, `${this.#label}: ${note}`);
  }
}
