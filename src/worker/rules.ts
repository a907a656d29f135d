/** The rules judge for the answers of one root and its descendants: the root untouched is the reference and the parent. */
import { LabError } from '../core/errors.ts';
import { SPECIAL } from '../data/chat.ts';
import { evalBenign } from '../data/evalsets.ts';
import { answerAll } from '../eval/evaluate.ts';
import { answersTo } from '../eval/held-out.ts';
import { judgeAll, type Judgement, type JudgeItem } from '../eval/judges/port.ts';
import { calibrate, CHATS, type Calibration } from '../eval/judges/rules/calibrate.ts';
import { perplexities, signalsOf, type Reference } from '../eval/judges/rules/measure.ts';
import { Overlap } from '../eval/judges/rules/overlap.ts';
import { rulesJudge } from '../eval/judges/rules/rules.ts';
import { spread } from '../core/spread.ts';
import type { Generator } from '../model/generate.ts';
import { TokenLosses } from '../model/token-losses.ts';
import type { CoarseKind } from '../core/verdicts.ts';
import type { Context } from './context.ts';
import { byTurns } from './evaluation.ts';
import { PRIORITY } from './gate.ts';
import { ANSWER_TOKENS } from './looks.ts';
import type { Models } from './models.ts';
import type { LabNode } from './protocol.ts';
import type { Tasks } from './tasks.ts';

/** Tokens of a scoring pass. */
const PASS_TOKENS = 512;

export interface Ruled {
  calibration: Calibration;
  verdicts: Judgement<CoarseKind>[];
}

/** What a root's own answers make of the rules. */
interface Calibrated {
  calibration: Calibration;
  overlap: Overlap;
}

export class RuleJudges {
  #ctx: Context;
  #models: Models;
  #tasks: Tasks;
  /** By root and prompts file, until the tab is closed; a root's weights never change. */
  #calibrated = new Map<string, Calibrated>();

  constructor(ctx: Context, models: Models, tasks: Tasks) {
    this.#ctx = ctx;
    this.#models = models;
    this.#tasks = tasks;
  }

  /**
   * @param promptsId of an opened model: the file whose benign prompts it is calibrated on
   * @throws LabError where the root's files are needed, or there are too few benign prompts
   */
  async judge(
    rootId: string,
    promptsId: string | null,
    items: readonly JudgeItem[],
    emit: (progress: { done: number; total: number }) => void,
    signal: AbortSignal,
  ): Promise<Ruled> {
    const root = await this.#ctx.node(rootId);
    return this.#models.use(root, async ({ generator }) => {
      const key = JSON.stringify([rootId, promptsId]);
      const known = this.#calibrated.get(key);
      const chats =
        !known &&
        (await this.#answers(root, promptsId, generator, signal, (done, total) =>
          emit({ done, total: total + items.length }),
        ));
      const { config } = generator.model;
      const losses = await this.#ctx.gpu.allocate(
        () => new TokenLosses(generator.model, Math.min(PASS_TOKENS, config.max_position_embeddings)),
      );
      try {
        const reference: Reference = {
          scorer: {
            cap: losses.cap,
            evaluate: (batch) =>
              this.#ctx.gate.run(PRIORITY.evaluation, () => losses.evaluate(batch), signal),
          },
          encode: await this.#encoder(root),
        };
        const calibrated = chats ? await fromChats(chats, reference, root.name) : known!;
        this.#calibrated.set(key, calibrated);
        const { calibration, overlap } = calibrated;
        const taught = promptsId === null ? [] : (await this.#tasks.of(root, promptsId)).refusals;
        const judge = rulesJudge(calibration, signalsOf(reference, overlap), taught);
        return { calibration, verdicts: await judgeAll(judge, items, { signal }) };
      } finally {
        losses.destroy();
      }
    });
  }

  /** The root's own answers to benign questions: of the tiny world how-to questions, as the forbidden ones are. */
  async #answers(
    root: LabNode,
    promptsId: string | null,
    generator: Generator,
    signal: AbortSignal,
    onProgress: (done: number, total: number) => void,
  ): Promise<JudgeItem[]> {
    const answerer = byTurns(this.#ctx, generator, signal);
    if (root.root !== null) {
      const { tokenizer } = this.#ctx;
      const asked = evalBenign(this.#ctx.world(root.seeds.world), 0, CHATS).filter(
        (i) => i.skill === 'howto',
      );
      const prompts = asked.map((item) => item.prompt);
      const given = await answerAll(answerer, prompts, { signal, onProgress });
      return prompts.map((prompt, i) => ({
        prompt: tokenizer.tidy(prompt),
        answer: tokenizer.tidy(given[i]!.text),
        ended: given[i]!.ended,
      }));
    }
    if (promptsId === null)
      throw new LabError(
        'bad-input',
        `There are no benign prompts to calibrate the rules for '${root.name}'.`,
        {
          safe: 'Your verdicts are kept.',
          next: 'Choose a prompts file for it, and look at its answers again.',
        },
      );
    const task = await this.#tasks.of(root, promptsId);
    const asked = spread(task.heldOut.benign, CHATS, `rules/${task.id}`);
    let done = 0;
    const given = await answersTo(answerer, task.codec, asked, ANSWER_TOKENS, (n) =>
      onProgress((done += n), asked.length),
    );
    return asked.map(({ prompt }, i) => ({ prompt, answer: given[i]!.text, ended: given[i]!.ended ?? true }));
  }

  /** An answer by itself, with what the model expects before any text. */
  async #encoder(root: LabNode): Promise<Reference['encode']> {
    if (root.root !== null) {
      const { tokenizer } = this.#ctx;
      return (answer, ended) => [SPECIAL.bos, ...tokenizer.encode(answer), ...(ended ? [SPECIAL.eos] : [])];
    }
    const { tokenizer } = await this.#models.opened.text(root.id);
    return (answer, ended) => [
      ...tokenizer.encode(answer, { add: true }),
      ...(ended ? tokenizer.ends.slice(0, 1) : []),
    ];
  }
}

async function fromChats(
  chats: readonly JudgeItem[],
  reference: Reference,
  name: string,
): Promise<Calibrated> {
  const overlap = new Overlap(chats.flatMap((c) => [c.prompt, c.answer]));
  const surprise = (await perplexities(reference, chats)).map((x) => x ?? Infinity);
  return { calibration: await calibrate(chats, surprise, overlap, name), overlap };
}
