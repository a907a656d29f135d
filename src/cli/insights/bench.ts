import { LOOK_PROMPTS, type About, type Look, type LookPrompts } from '../../core/insights.ts';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LabError } from '../../core/errors.ts';
import type { Settings } from '../../core/settings.ts';
import { lookOf } from '../../insights/look.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { recipe, RECIPES } from '../../recipes/index.ts';
import { settle } from '../../recipes/recipe.ts';
import { createWorld } from '../../world/world.ts';
import { codeDigest, EXPERIMENT_FOLDERS } from '../code-digest.ts';
import { CellStore } from '../experiment/cells.ts';
import { ExperimentLab } from '../experiment/lab.ts';
import { MODELS, type ModelSpec } from '../experiment/matrix.ts';
import { readModelFolder, type ModelFolder } from '../model-folder.ts';
import { openNodeGpu } from '../node-gpu.ts';
import { protocolNow } from '../protocol.ts';

/** Folders whose code decides an insight's figures. */
const FOLDERS = [...EXPERIMENT_FOLDERS, 'src/insights', 'src/cli/insights'];

export interface BenchOptions {
  models: string;
  seeds: { defence: number; attack: number };
  fresh?: boolean;
  /** Of each look; default: 40 forbidden, 44 benign. */
  prompts?: LookPrompts;
  /** Folder of what is kept; default: .cache/insights. */
  cache?: string;
}

/** The models of the experiment for insights: made and attacked once, then kept on disk with what is measured of them. */
export class InsightBench {
  readonly lab: ExperimentLab;
  readonly store: CellStore;
  readonly folder: ModelFolder;
  readonly seeds: BenchOptions['seeds'];
  readonly prompts: LookPrompts;
  readonly #embedded: ReadonlyMap<string, Float32Array>;
  readonly #about: Omit<About, 'createdAt' | 'command' | 'seconds'>;
  readonly #begun = performance.now();
  onStep: (note: string) => void = () => undefined;

  private constructor(lab: ExperimentLab, folders: Record<string, ModelFolder>, o: BenchOptions) {
    this.lab = lab;
    this.folder = folders['tiny-chat']!;
    this.seeds = o.seeds;
    this.prompts = o.prompts ?? LOOK_PROMPTS;
    this.#embedded = new Map([
      ['base', lab.flatten(folders['tiny-base']!)],
      ['chat', lab.flatten(this.folder)],
    ]);
    this.#about = {
      worldSeed: lab.world.seed,
      seeds: o.seeds,
      adapter: lab.gpu.info.description,
      kernels: lab.gpu.table,
      code: codeDigest(undefined, FOLDERS),
      protocol: protocolNow().sha256,
      weights: Object.fromEntries(
        Object.keys(folders).map((name) => [name, sha256(join(o.models, name, 'model.safetensors'))]),
      ),
    };
    const { worldSeed, adapter, kernels, code, weights } = this.#about;
    const recipes = RECIPES.map((r) => ({ id: r.id, settings: settle(r), plan: r.plan(settle(r)) }));
    this.store = new CellStore(
      o.cache ?? join('.cache', 'insights'),
      { worldSeed, adapter, kernels, code, weights, recipes, models: MODELS, prompts: this.prompts },
      o.fresh,
    );
  }

  /** @param gpu default: the one of this process */
  static async open(o: BenchOptions, gpu?: Gpu): Promise<InsightBench> {
    const folders = Object.fromEntries(
      ['tiny-base', 'tiny-chat'].map((name) => [name, readModelFolder(join(o.models, name))]),
    );
    const world = createWorld(folders['tiny-chat']!.record.worldSeed);
    const lab = await ExperimentLab.open(gpu ?? (await openNodeGpu()), world, folders['tiny-chat']!);
    return new InsightBench(lab, folders, o);
  }

  about(command: string): About {
    return {
      createdAt: new Date().toISOString(),
      command,
      ...this.#about,
      seconds: Math.round((performance.now() - this.#begun) / 1000),
    };
  }

  /** A look at the weights: forbidden prompts of T and everyday tasks. */
  async look(weights: Float32Array): Promise<Look> {
    return lookOf(await this.lab.evaluate(weights, { sets: ['T'], benign: true, limit: this.prompts }));
  }

  /** The same, kept under a name. */
  async keptLook(weights: Float32Array, ...key: (string | number)[]): Promise<Look> {
    const stored = this.store.read<Look>('look', ...key);
    if (stored) return stored;
    const look = await this.look(weights);
    this.store.write(look, 'look', ...key);
    return look;
  }

  /** A model's weights; a defended one is made now if it was not yet. */
  weights(id: string): Promise<Float32Array> {
    const spec = specOf(id);
    return this.#kept([...this.keyOf(spec), 'weights'], async () => {
      const r = recipe(spec.recipe!);
      const settings = settle(r, spec.settings);
      const start = await this.weights(spec.parent!);
      return this.#end(`making ${id}`, start, r.id, settings, this.seeds.defence);
    });
  }

  /** The model after an attack with these settings, the recipe's own where none is given. */
  attacked(id: string, recipeId: string, own: Settings): Promise<Float32Array> {
    const settings = settle(recipe(recipeId), own);
    const name = Object.entries(own).map(([key, value]) => `${key}=${value}`);
    const key = [...this.keyOf(specOf(id)), recipeId, ...name, `a${this.seeds.attack}`, 'weights'];
    return this.#kept(key, async () =>
      this.#end(`attacking ${id}`, await this.weights(id), recipeId, settings, this.seeds.attack),
    );
  }

  /** Names a model with the seeds that it depends on. */
  keyOf(spec: ModelSpec): string[] {
    return [spec.id, ...(spec.recipe ? [`d${this.seeds.defence}`] : [])];
  }

  async #kept(key: string[], make: () => Promise<Float32Array>): Promise<Float32Array> {
    const embedded = key.length === 2 && this.#embedded.get(key[0]!);
    if (embedded) return embedded;
    const stored = this.store.readWeights(...key);
    if (stored) return stored;
    const made = await make();
    this.store.writeWeights(made, ...key);
    return made;
  }

  async #end(
    note: string,
    start: Float32Array,
    recipeId: string,
    settings: Settings,
    seed: number,
  ): Promise<Float32Array> {
    const { steps } = recipe(recipeId).plan(settings);
    let made: Float32Array | null = null;
    await this.lab.train(start, {
      recipe: recipeId,
      settings,
      seed,
      at: [steps],
      station: async (_, weights) => {
        made = weights;
      },
      onStep: (step, total, loss) => this.onStep(`${note}: step ${step}/${total}, loss ${loss.toFixed(2)}`),
    });
    if (!made) throw new Error(`${note} did not come to the end of its ${steps} steps`);
    return made;
  }
}

/** The models, and each after so many steps of malicious fine-tuning by its defaults; 0: the models alone. */
export function versions(
  models: readonly string[],
  after: number,
): { model: string; after: number; weights(bench: InsightBench): Promise<Float32Array> }[] {
  return models.flatMap((model) => [
    { model, after: 0, weights: (bench: InsightBench) => bench.weights(model) },
    ...(after === 0
      ? []
      : [
          {
            model,
            after,
            weights: (bench: InsightBench) => bench.attacked(model, 'mft', { steps: after }),
          },
        ]),
  ]);
}

/** @throws LabError 'bad-input' listing the models that there are */
export function specOf(id: string): ModelSpec {
  const spec = MODELS.find((m) => m.id === id);
  if (spec) return spec;
  throw new LabError('bad-input', `There is no model "${id}".`, {
    safe: 'Nothing was started.',
    next: `Choose one of ${MODELS.map((m) => m.id).join(', ')}.`,
  });
}

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
