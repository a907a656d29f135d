/**
 * Answers of a measurement as they come, batch by batch, kept with the node until it is done: one that was stopped, that failed or
 * whose tab was closed asks nothing twice.
 */
import type { Answerer, GenOptions, GenToken } from '../model/generate.ts';
import { sha256 } from '../store/digest.ts';
import { ENGINE_VERSION, type Context } from './context.ts';
import type { KeptAnswers, Unfinished } from './protocol.ts';

type Stored = Awaited<ReturnType<Context['store']['evaluations']>>[number];

const isKept = (one: Stored): one is KeptAnswers => 'kind' in one && one.kind === 'answers';

export class Work {
  #ctx: Context;
  #nodeId: string;
  #name: string;
  #by: string;
  #known: Map<string, KeptAnswers['rows']>;
  /** The latest batch, which is stored once it is known of how many it is one. */
  #fresh: Omit<KeptAnswers, 'total'> | null = null;
  #saving: Promise<unknown> = Promise.resolve();

  private constructor(ctx: Context, nodeId: string, name: string, kept: readonly KeptAnswers[]) {
    this.#ctx = ctx;
    this.#nodeId = nodeId;
    this.#name = name;
    this.#by = byNow(ctx);
    this.#known = new Map(kept.filter((k) => k.by === this.#by).map((k) => [k.asked, k.rows]));
  }

  /** @param name see `WORK` */
  static async open(ctx: Context, nodeId: string, name: string): Promise<Work> {
    const kept = (await ctx.store.evaluations(nodeId)).filter(isKept).filter((k) => k.work === name);
    return new Work(ctx, nodeId, name, kept);
  }

  /** The answerer, which keeps what it was asked and is not asked again. */
  answers({ cap, generate }: Answerer): Answerer {
    return {
      cap,
      generate: async (prompts, options) => {
        const asked = await digest(prompts, options);
        const known = this.#known.get(asked);
        if (known) return known.map(tokensOf);
        const given = await generate(prompts, options);
        const rows = given.map((row) => ({
          ids: row.map((t) => t.id),
          logprobs: row.map((t) => t.logprob),
        }));
        this.#save(null);
        this.#fresh = {
          ...{ kind: 'answers', nodeId: this.#nodeId, work: this.#name, by: this.#by, asked, rows },
          createdAt: Date.now(),
        };
        return given;
      },
    };
  }

  /** Tells how far it is, and stores what came. */
  progress(emit: (progress: { done: number; total: number }) => void): (done: number, total: number) => void {
    return (done, total) => {
      this.#save(total);
      emit({ done, total });
    };
  }

  #save(total: number | null): void {
    const fresh = this.#fresh;
    if (!fresh) return;
    this.#fresh = null;
    const { store } = this.#ctx;
    // what cannot be kept has to be asked again, and is no reason to stop
    this.#saving = this.#saving.then(() => store.addEvaluation({ ...fresh, total })).catch(() => {});
  }

  /** Runs the work; when it ends, however it does, what was answered is stored. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } finally {
      this.#save(null);
      await this.#saving;
    }
  }

  /** Whether a stored record is part of this work, and goes when it is done. */
  readonly own = (one: Stored): boolean => isKept(one) && one.work === this.#name;
}

const byNow = (ctx: Context): string => `${ENGINE_VERSION} ${ctx.adapterName()}`;

const tokensOf = ({ ids, logprobs }: KeptAnswers['rows'][number]): GenToken[] =>
  ids.map((id, i) => ({ id, logprob: logprobs[i]!, top: [] }));

/** Of everything that decides what is answered. */
async function digest(
  prompts: readonly (readonly number[])[],
  { maxNewTokens, eos, temperature = 0, topK = 0, topP = 1, seed = 0 }: GenOptions,
): Promise<string> {
  const ends = typeof eos === 'number' ? [eos] : [...eos].sort((a, b) => a - b);
  const asked = [prompts, maxNewTokens, ends, temperature, topK, topP, seed];
  return sha256(new TextEncoder().encode(JSON.stringify(asked)));
}

/** Of a node: work that this engine on this GPU would go on with. */
export async function unfinished(ctx: Context, nodeId: string): Promise<Unfinished[]> {
  const by = byNow(ctx);
  const found = new Map<string, Unfinished>();
  for (const { work, rows, total, ...kept } of (await ctx.store.evaluations(nodeId)).filter(isKept)) {
    if (kept.by !== by) continue;
    const so = found.get(work) ?? { nodeId, work, answered: 0, total: null };
    found.set(work, { ...so, answered: so.answered + rows.length, total: so.total ?? total });
  }
  return [...found.values()];
}
