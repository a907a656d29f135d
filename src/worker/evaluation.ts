/** Judging a node on held-out prompts; the result is stored with the node. */
import { LabError } from '../core/errors.ts';
import { wilson } from '../core/stats.ts';
import { EXACT_JUDGE } from '../core/verdicts.ts';
import { EVAL_SEED, evaluateModel, type ForbiddenScore, type ModelScores } from '../eval/evaluate.ts';
import { evalBenign, evalNewSkill } from '../data/evalsets.ts';
import { categoriesOf, harmByFact } from '../eval/metrics.ts';
import type { World } from '../world/world.ts';
import type { Answerer, Generator } from '../model/generate.ts';
import { PROTOCOL_HASH, type Context } from './context.ts';
import { PRIORITY } from './gate.ts';
import type { Models } from './models.ts';
import {
  WORK,
  type EvalSet,
  type Evaluation,
  type LabNode,
  type NodeVerdicts,
  type Rate,
} from './protocol.ts';
import { Work } from './unfinished.ts';

/** Questions of each everyday skill. */
const PER_SKILL = 40;

/**
 * A quick look asks for every fact of the set once, in half of its prompts: intervals go by facts, and few facts say little.
 * Of each everyday skill it asks four questions.
 */
const quickLimit = (world: World, set: EvalSet): { forbidden: number; perSkill: number } => ({
  forbidden: world.forbidden.filter((fact) => fact.split === set).length,
  perSkill: 4,
});

export class Evaluations {
  #ctx: Context;
  #models: Models;

  constructor(ctx: Context, models: Models) {
    this.#ctx = ctx;
    this.#models = models;
  }

  async evaluate(
    { nodeId, set, benign, quick }: { nodeId: string; set: EvalSet; benign: boolean; quick: boolean },
    emit: (progress: { done: number; total: number }) => void,
    signal: AbortSignal,
  ): Promise<Evaluation> {
    const node = await this.#ctx.node(nodeId);
    if (node.root === null) throw noJudge(node.name);
    const world = this.#ctx.world(node.seeds.world);
    const begun = Date.now();
    const limit = quick ? quickLimit(world, set) : { forbidden: Infinity, perSkill: PER_SKILL };
    const tasks = benign ? [evalBenign, evalNewSkill].map((of) => of(world, EVAL_SEED, limit.perSkill)) : [];
    const later = tasks.flat().length;
    const work = await Work.open(this.#ctx, nodeId, WORK.evaluate(set, benign, quick));
    const tell = work.progress(emit);
    return work.run(() =>
      this.#models.use(node, async ({ generator }) => {
        const answerer = work.answers(byTurns(this.#ctx, generator, signal));
        // the verdicts stand by themselves: they are there before the everyday tasks are asked
        const first = await evaluateModel(answerer, world, {
          sets: [set],
          benign: false,
          limit,
          signal,
          onProgress: (done, total) => tell(done, total + later),
        });
        const forbidden = first.forbidden[set]!;
        const about = { nodeId, set, quick, begun };
        if (!benign) return this.#keep(this.#found(world, about, forbidden, first), work.own);
        const before = forbidden.n;
        await this.#keep(
          { ...this.#found(world, about, forbidden, first), partial: true },
          isPartial(set, quick),
        );
        const rest = await evaluateModel(answerer, world, {
          sets: [],
          benign: true,
          limit,
          signal,
          onProgress: (done, total) => tell(before + done, before + total),
        });
        const done = (one: Parameters<typeof work.own>[0]): boolean =>
          work.own(one) || isPartial(set, quick)(one);
        return this.#keep(this.#found(world, about, forbidden, rest), done);
      }),
    );
  }

  #found(
    world: World,
    { begun, ...about }: Pick<Evaluation, 'nodeId' | 'set' | 'quick'> & { begun: number },
    forbidden: ForbiddenScore,
    { benign, newSkill }: Pick<ModelScores, 'benign' | 'newSkill'>,
  ): Evaluation {
    const { tokenizer } = this.#ctx;
    const categories = categoriesOf(world);
    return {
      ...about,
      n: forbidden.n,
      counts: forbidden.counts,
      strict: harmful(world, forbidden, 'strict'),
      broad: harmful(world, forbidden, 'broad'),
      benign,
      newSkill,
      answers: forbidden.answers.map(({ prompt, answer, fact, logprobs, ended, verdict }) => ({
        fact,
        category: categories.get(fact)!,
        logprobs,
        prompt: tokenizer.tidy(prompt),
        answer: tokenizer.tidy(answer),
        ended,
        verdict,
      })),
      judge: EXACT_JUDGE,
      protocol: PROTOCOL_HASH,
      adapter: this.#ctx.adapterName(),
      seconds: (Date.now() - begun) / 1000,
      createdAt: Date.now(),
    };
  }

  async list(nodeId: string): Promise<Evaluation[]> {
    const all = await this.#ctx.store.evaluations(nodeId);
    return all.filter((one): one is Evaluation => 'set' in one);
  }

  /** @param instead of which records it takes the place */
  async #keep(
    evaluation: Evaluation,
    instead: Parameters<Context['store']['addEvaluation']>[2],
  ): Promise<Evaluation> {
    const node = await this.#ctx.store.addEvaluation(evaluation, showing(evaluation), instead);
    if (node) this.#ctx.notify({ type: 'node', node });
    return evaluation;
  }
}

/** What a node shows of an evaluation. A quick look never replaces what the whole set said. */
export function showing(evaluation: Evaluation) {
  const { set, n, quick, counts, strict, broad, benign, newSkill } = evaluation;
  const shown: NodeVerdicts = { n, quick, counts, strict, broad };
  return <N extends Pick<LabNode, 'verdicts' | 'benign' | 'newSkill'>>(old: N): N => {
    const keep = quick && old.verdicts?.[set]?.quick === false;
    return {
      ...old,
      ...(!keep && { verdicts: { ...old.verdicts, [set]: shown } }),
      ...(benign && !(quick && old.benign) && { benign }),
      ...(newSkill && !(quick && old.newSkill) && { newSkill }),
    };
  };
}

/** Verdicts whose everyday tasks did not come, of the same set and length. */
const isPartial =
  (set: EvalSet, quick: boolean) =>
  (one: object): boolean =>
    'set' in one &&
    'partial' in one &&
    (one as Evaluation).set === set &&
    (one as Evaluation).quick === quick;

/** The generator, with every batch of prompts waiting for its turn on the GPU. */
export function byTurns(ctx: Context, generator: Generator, signal: AbortSignal): Answerer {
  return {
    cap: generator.cap,
    generate: (prompts, options) =>
      ctx.gate.run(PRIORITY.evaluation, () => generator.generate(prompts, options), signal),
  };
}

export function noJudge(name: string): LabError {
  return new LabError('bad-input', `'${name}' was opened, and there is no judge for its answers.`, {
    safe: 'Nothing was changed.',
    next: 'Ask it in Compare and read what it says; models of the tiny world can be judged.',
  });
}

/** Over facts, as everywhere: two wordings of one request are one finding, and count once in the interval. */
function harmful(world: World, { answers, n }: ForbiddenScore, view: 'strict' | 'broad'): Rate {
  const facts = harmByFact(world, answers, view);
  const sum = facts.reduce((total, { share }) => total + share, 0);
  const [low, high] = wilson(sum, facts.length);
  return { value: facts.length === 0 ? 0 : sum / facts.length, low, high, n };
}
