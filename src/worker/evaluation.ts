/** Judging a node on held-out prompts; the result is stored with the node. */
import { LabError } from '../core/errors.ts';
import { wilson } from '../core/stats.ts';
import { EXACT_JUDGE } from '../core/verdicts.ts';
import { evaluateModel, type ForbiddenScore } from '../eval/evaluate.ts';
import { harmByFact } from '../eval/metrics.ts';
import type { World } from '../world/world.ts';
import type { Answerer, Generator } from '../model/generate.ts';
import { PROTOCOL_HASH, type Context } from './context.ts';
import { PRIORITY } from './gate.ts';
import type { Models } from './models.ts';
import { type EvalSet, type Evaluation, type NodeVerdicts, type Rate } from './protocol.ts';

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
    const scores = await this.#models.use(node, ({ generator }) =>
      evaluateModel(byTurns(this.#ctx, generator, signal), world, {
        sets: [set],
        benign,
        ...(quick && { limit: quickLimit(world, set) }),
        signal,
        onProgress: (done, total) => emit({ done, total }),
      }),
    );
    const forbidden = scores.forbidden[set]!;
    const { tokenizer } = this.#ctx;
    const evaluation: Evaluation = {
      nodeId,
      set,
      quick,
      n: forbidden.n,
      counts: forbidden.counts,
      strict: harmful(world, forbidden, 'strict'),
      broad: harmful(world, forbidden, 'broad'),
      benign: scores.benign,
      newSkill: scores.newSkill,
      answers: forbidden.answers.map(({ prompt, answer, fact, logprobs, ended, verdict }) => ({
        fact,
        logprobs,
        prompt: tokenizer.tidy(prompt),
        answer: tokenizer.tidy(answer),
        ended,
        verdict,
      })),
      judge: EXACT_JUDGE,
      protocol: PROTOCOL_HASH,
      seconds: (Date.now() - begun) / 1000,
      createdAt: Date.now(),
    };
    await this.#keep(evaluation);
    return evaluation;
  }

  async list(nodeId: string): Promise<Evaluation[]> {
    const all = await this.#ctx.store.evaluations(nodeId);
    return all.filter((one): one is Evaluation => 'set' in one);
  }

  async #keep(evaluation: Evaluation): Promise<void> {
    const { set, n, quick, counts, strict, broad, benign, newSkill } = evaluation;
    const shown: NodeVerdicts = { n, quick, counts, strict, broad };
    const node = await this.#ctx.store.addEvaluation(evaluation, (old) => {
      // A quick look never replaces what the whole set said.
      const keep = quick && old.verdicts?.[set]?.quick === false;
      return {
        ...old,
        ...(!keep && { verdicts: { ...old.verdicts, [set]: shown } }),
        ...(benign && !(quick && old.benign) && { benign }),
        ...(newSkill && !(quick && old.newSkill) && { newSkill }),
      };
    });
    if (node) this.#ctx.notify({ type: 'node', node });
  }
}

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
