/** WebLLM in the worker: a judge of answers, a reference to talk to, a check of our numbers. One model at a time, as the GPU's guest. */
import type { JudgeCalibration } from '../core/llm-judge.ts';
import { LabError } from '../core/errors.ts';
import { calibrationOf, labelledPairs } from '../eval/judges/llm/labelled.ts';
import { judgeName } from '../eval/judges/port.ts';
import { RULES } from '../eval/judges/rules/rules.ts';
import { promptHash } from '../eval/judges/llm/rubric.ts';
import { beginnings, compareChances, largestDifference } from '../llm/cross-check.ts';
import { judgeId, llmJudge } from '../llm/judge.ts';
import { suggested, type AdapterFacts } from '../llm/models.ts';
import { WebLlmEmbeddings } from '../llm/embeddings.ts';
import type { EmbedPort, LlmPort, RawEmbedder, ScoreItem, TokenChances } from '../llm/ports.ts';
import { TokenLosses } from '../model/token-losses.ts';
import { answerPool, groupOf, type Given } from './answer-pool.ts';
import type { Context } from './context.ts';
import { toErrorInfo } from './error-info.ts';
import { PRIORITY } from './gate.ts';
import type { Guest, Visitor } from './guest.ts';
import { KeptScores, type KeptScore } from './kept-scores.ts';
import { budgetOf } from './memory.ts';
import type { Models } from './models.ts';
import type {
  CrossCheck,
  ErrorInfo,
  LlmEvent,
  LlmList,
  LlmScores,
  ReferenceAnswer,
  Sampling,
} from './protocol.ts';
import type { RuleJudges } from './rules.ts';

/** Scores between two writes. */
const SAVE_EVERY = 20;
/** Tokens of a stock model's answer; the tiny world's own limit is far below what such a model says. */
const REFERENCE_TOKENS = 256;

/** Verdicts of other rules than today's are made anew. */
const RULES_NAME = judgeName(RULES);

type Emit = (event: LlmEvent) => void;

export interface LlmParts {
  llm: LlmPort & RawEmbedder;
  adapter: () => Promise<AdapterFacts | null>;
  guest: Guest;
  rules: Pick<RuleJudges, 'judge'>;
}

export class Llms {
  #ctx: Context;
  #models: Models;
  #parts: LlmParts;
  readonly #visitor: Visitor;
  readonly #kept: KeptScores;
  /** One piece of work at a time: what came beside it would load its own model in the place of the one that is being asked. */
  #atWork: { signal: AbortSignal; ended: Promise<void> } | null = null;

  constructor(ctx: Context, models: Models, parts: LlmParts) {
    this.#ctx = ctx;
    this.#models = models;
    this.#parts = parts;
    this.#kept = new KeptScores(ctx);
    const { llm } = parts;
    this.#visitor = {
      get name() {
        const { state } = llm;
        return state.phase === 'empty' ? 'A WebLLM model' : `WebLLM’s '${state.modelId}'`;
      },
      leave: () => llm.unload(),
    };
  }

  async list(): Promise<LlmList> {
    const { llm, adapter } = this.#parts;
    const models = await llm.models();
    const facts = await adapter();
    const has = { most: await budgetOf(this.#ctx), f16: facts?.f16 ?? false };
    return {
      library: llm.library,
      models,
      suggested: { chat: suggested(models, 'chat', has), embedding: suggested(models, 'embedding', has) },
    };
  }

  /**
   * Work with a model on the GPU.
   * @param o.stay it is left there afterwards, until the lab needs the GPU
   * @throws LabError 'bad-input' while other work with a model is under way that nobody has stopped
   */
  async with<T>(
    modelId: string,
    o: { stay: boolean; emit: Emit; signal: AbortSignal },
    work: () => Promise<T>,
  ): Promise<T> {
    while (this.#atWork) {
      if (!this.#atWork.signal.aborted) throw atWork(this.#visitor.name);
      await this.#atWork.ended;
    }
    let end = (): void => {};
    this.#atWork = { signal: o.signal, ended: new Promise((resolve) => (end = () => resolve())) };
    try {
      return await this.#alone(modelId, o, work);
    } finally {
      this.#atWork = null;
      end();
    }
  }

  async #alone<T>(
    modelId: string,
    o: { stay: boolean; emit: Emit; signal: AbortSignal },
    work: () => Promise<T>,
  ): Promise<T> {
    const { guest, llm } = this.#parts;
    let done = false;
    try {
      const result = await guest.lend(this.#visitor, async () => {
        const { state } = llm;
        if (state.phase !== 'ready' || state.modelId !== modelId)
          await llm.load(modelId, {
            most: await budgetOf(this.#ctx),
            onProgress: (progress) => o.emit({ stage: 'load', ...progress }),
            signal: o.signal,
          });
        return work();
      });
      done = o.stay;
      return result;
    } finally {
      // a model that is not wanted any more, or never came, holds nothing back
      if (!done && (!o.stay || llm.state.phase !== 'ready')) await guest.leave();
    }
  }

  /** Work with an embedding model on the GPU; it goes when the work is done. */
  embedding<T>(
    modelId: string,
    { signal, onLoad }: { signal: AbortSignal; onLoad: (share: number) => void },
    work: (embedder: EmbedPort) => Promise<T>,
  ): Promise<T> {
    const emit: Emit = (event) => {
      if (event.stage === 'load') onLoad(event.share);
    };
    return this.with(modelId, { stay: false, emit, signal }, () =>
      work(new WebLlmEmbeddings(this.#parts.llm, modelId)),
    );
  }

  async unload(): Promise<null> {
    await this.#parts.guest.leave();
    return null;
  }

  // ----------------------------------------------------------------------------------------------------------- judge

  async calibrate(
    { modelId }: { modelId: string },
    emit: Emit,
    signal: AbortSignal,
  ): Promise<JudgeCalibration> {
    const pairs = labelledPairs(this.#ctx.world(0));
    const hash = await promptHash();
    const judge = judgeId(modelId, this.#parts.llm.library);
    const scores = await this.with(modelId, { stay: true, emit, signal }, () =>
      this.#score(modelId, pairs, emit, signal),
    );
    const about = { judge, promptHash: hash, createdAt: Date.now() };
    const found = calibrationOf(
      pairs,
      scores.map((s) => s.score),
      about,
    );
    await this.#kept.setCalibration(found);
    return found;
  }

  #score(
    modelId: string,
    items: readonly ScoreItem[],
    emit: Emit,
    signal: AbortSignal,
    onScore?: (index: number, score: { score: number }) => void,
  ): Promise<{ score: number }[]> {
    emit({ stage: 'score', done: 0, total: items.length });
    return llmJudge(this.#parts.llm, modelId).score(items, {
      signal,
      onScore: (score, index) => {
        onScore?.(index, score);
        emit({ stage: 'score', done: index + 1, total: items.length });
      },
    });
  }

  async score(
    { modelId, nodeIds }: { modelId: string; nodeIds: string[] },
    emit: Emit,
    signal: AbortSignal,
  ): Promise<LlmScores> {
    const judge = judgeId(modelId, this.#parts.llm.library);
    const hash = await promptHash();
    const pool = await answerPool(this.#ctx, nodeIds);
    if (pool.length === 0) throw noAnswers();
    const failed = await this.#rule(pool, emit, signal);
    const known = await this.#kept.scores(judge, hash);
    // an answer that several checkpoints gave is asked about once
    const asked = [...new Map(pool.map((item) => [item.digest, item])).values()].filter(
      ({ digest }) => known[digest] === undefined,
    );
    if (asked.length > 0) {
      const fresh: Record<string, KeptScore> = {};
      const save = async (): Promise<void> => this.#kept.addScores(judge, hash, fresh);
      let saving: Promise<void> = Promise.resolve();
      try {
        await this.with(modelId, { stay: false, emit, signal }, () =>
          this.#score(modelId, asked, emit, signal, (index, { score }) => {
            fresh[asked[index]!.digest] = score;
            if ((index + 1) % SAVE_EVERY === 0) saving = saving.then(save);
          }),
        );
      } finally {
        // what came before a stop or a failure is not asked for again
        await saving;
        await save();
      }
    }
    return this.#scores(judge, hash, pool, failed);
  }

  async scores({ nodeIds }: { nodeIds: string[] }): Promise<LlmScores[]> {
    const hash = await promptHash();
    const pool = await answerPool(this.#ctx, nodeIds);
    const judges = await this.#kept.judges(hash);
    return Promise.all(judges.map((judge) => this.#scores(judge, hash, pool, [])));
  }

  async #scores(
    judge: string,
    hash: string,
    pool: readonly Given[],
    failed: ErrorInfo[],
  ): Promise<LlmScores> {
    const scores = await this.#kept.scores(judge, hash);
    const rules = await this.#kept.rules();
    const calibration = await this.#kept.calibration(judge, hash);
    const nodes = [...new Set(pool.map((item) => item.checkpoint))].map((nodeId) => ({
      nodeId,
      judge,
      promptHash: hash,
      answers: pool.flatMap((item) => {
        const { checkpoint, digest, prompt, answer, prompts } = item;
        const score = scores[digest];
        if (checkpoint !== nodeId || score === undefined) return [];
        const rule = rules[ruleKey(item)] ?? null;
        return [{ digest, prompt, answer, veiled: prompts !== null, score, rule }];
      }),
    }));
    return { judge, promptHash: hash, calibration, failed, nodes: nodes.filter((n) => n.answers.length > 0) };
  }

  /** The rules on answers that they have not seen, each group by its own root; a group that fails leaves the others theirs. */
  async #rule(pool: readonly Given[], emit: Emit, signal: AbortSignal): Promise<ErrorInfo[]> {
    const known = await this.#kept.rules();
    const failed: ErrorInfo[] = [];
    for (const group of new Set(pool.map(groupOf))) {
      const items = pool.filter(
        (item) => groupOf(item) === group && known[ruleKey(item)]?.judge !== RULES_NAME,
      );
      const [first] = items;
      if (!first) continue;
      try {
        const { verdicts } = await this.#parts.guest.own(() =>
          this.#parts.rules.judge(
            first.rootId,
            first.prompts?.id ?? null,
            items,
            (progress) => emit({ stage: 'rules', ...progress }),
            signal,
          ),
        );
        await this.#kept.addRules(Object.fromEntries(items.map((item, i) => [ruleKey(item), verdicts[i]!])));
      } catch (e) {
        if (signal.aborted) throw e;
        failed.push(toErrorInfo(e));
      }
    }
    return failed;
  }

  // ------------------------------------------------------------------------------------------- reference, cross-check

  async chat(
    { modelId, prompt, sampling }: { modelId: string; prompt: string; sampling: Sampling },
    emit: Emit,
    signal: AbortSignal,
  ): Promise<ReferenceAnswer> {
    const { llm } = this.#parts;
    const { text, ended } = await this.with(modelId, { stay: true, emit, signal }, () =>
      llm.chat([{ role: 'user', content: prompt }], {
        maxTokens: Math.max(sampling.maxNewTokens, REFERENCE_TOKENS),
        temperature: sampling.temperature,
        seed: sampling.seed,
        onText: (piece) => emit({ stage: 'text', piece }),
        signal,
      }),
    );
    return { modelId, library: llm.library, prompt, text, ended };
  }

  /** @throws LabError for a model of the tiny world, which no stock library runs */
  async crossCheck(
    { modelId, nodeId, prompt }: { modelId: string; nodeId: string; prompt: string },
    emit: Emit,
    signal: AbortSignal,
  ): Promise<CrossCheck> {
    const { llm, guest } = this.#parts;
    const node = await this.#ctx.node(nodeId);
    if (node.root !== null)
      throw new LabError('bad-input', `'${node.name}' knows the words of the tiny world alone.`, {
        safe: 'Nothing was started.',
        next: 'Choose a model that you opened, and the same one in WebLLM.',
      });
    const texts = beginnings(prompt);
    if (texts.length === 0) throw new LabError('bad-input', 'There is no text to compare.');
    const theirs: TokenChances[] = [];
    await this.with(modelId, { stay: false, emit, signal }, async () => {
      for (const [i, text] of texts.entries()) {
        emit({ stage: 'score', done: i, total: texts.length });
        const [token] = await llm.complete({ prompt: text }, { maxTokens: 1, seed: 1, signal });
        theirs.push(token ?? { text: '', logprob: NaN, top: [] });
      }
    });
    const { tokenizer } = await this.#models.opened.text(await this.#ctx.rootId(node));
    const rows = texts.map((text) => tokenizer.encode(text));
    const idOf = spelling((id) => tokenizer.decode([id], { special: true }), tokenizer.size);
    const logits = await guest.own(() =>
      this.#models.use(node, ({ generator }) =>
        this.#ctx.gate.run(
          PRIORITY.evaluation,
          async () => {
            const most = Math.max(...rows.map((ids) => ids.length));
            const losses = await this.#ctx.gpu.allocate(() => new TokenLosses(generator.model, most));
            try {
              const last: Float32Array[] = [];
              for (const ids of rows) {
                const [all] = await losses.logits([{ ids, labels: ids }]);
                last.push(all!.slice(-generator.model.config.vocab_size));
              }
              return last;
            } finally {
              losses.destroy();
            }
          },
          signal,
        ),
      ),
    );
    const places = theirs.map((chances, i) => ({
      before: texts[i]!,
      ...compareChances(chances, logits[i]!, idOf),
    }));
    return {
      modelId,
      library: llm.library,
      nodeId,
      places: places.map(({ before, tokens }) => ({ before, tokens })),
      largest: largestDifference(places),
      unmatched: places.reduce((sum, { unmatched }) => sum + unmatched, 0),
    };
  }
}

const atWork = (name: string): LabError =>
  new LabError('bad-input', `${name} is at work.`, {
    safe: 'Nothing was started, and nothing is lost.',
    next: 'Wait until it is done, or stop it.',
  });

/** The rules are calibrated by root and prompts file: of one text they may say this under one of them, and that under another. */
const ruleKey = (item: Given): string => `${groupOf(item)} ${item.digest}`;

/** Ids by their spelling; a spelling that several tokens share (parts of a letter) is nobody's. */
function spelling(spell: (id: number) => string, size: number): (text: string) => number | undefined {
  const ids = new Map<string, number | null>();
  for (let id = 0; id < size; id++) {
    const text = spell(id);
    ids.set(text, ids.has(text) ? null : id);
  }
  return (text) => ids.get(text) ?? undefined;
}

const noAnswers = (): LabError =>
  new LabError('bad-input', 'These checkpoints have no answers to forbidden or harmful prompts yet.', {
    safe: 'Nothing was started.',
    next: 'Judge them in Compare, or look at them with your prompts, and come back.',
  });
