/** The rules judge set up for the tiny world: its embedded models are the references, and read its words. */
import { join } from 'node:path';
import { encodeWords, SPECIAL } from '../../data/chat.ts';
import { evalBenign } from '../../data/evalsets.ts';
import { Embedded } from '../../data/pairs/similarity.ts';
import { TfIdf } from '../../data/pairs/tfidf.ts';
import { answerAll, MAX_LENGTH } from '../../eval/evaluate.ts';
import { judgeAll, type Judgement, type JudgeItem } from '../../eval/judges/port.ts';
import { calibrate, CHATS, type Calibration } from '../../eval/judges/rules/calibrate.ts';
import { perplexities, signalsOf, type Reference } from '../../eval/judges/rules/measure.ts';
import { Overlap, type Relevance } from '../../eval/judges/rules/overlap.ts';
import { rulesJudge, type Signals } from '../../eval/judges/rules/rules.ts';
import { pooledPort } from '../../eval/pooled.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { Generator } from '../../model/generate.ts';
import { HiddenStates } from '../../model/hidden.ts';
import { Model } from '../../model/model.ts';
import { TokenLosses } from '../../model/token-losses.ts';
import type { CoarseKind } from '../../core/verdicts.ts';
import { createWorld } from '../../world/world.ts';
import { readModelFolder } from '../model-folder.ts';
import type { ExactAnswer } from './answers.ts';

export const SIMILARITIES = ['overlap', 'tfidf', 'hidden'] as const;
export type SimilarityName = (typeof SIMILARITIES)[number];

const ROOTS = ['base', 'chat'] as const;
type Root = (typeof ROOTS)[number];

/** Questions answered at once, and tokens of a scoring pass. */
const SEQS = 96;
const PASS_TOKENS = 1024;

export interface RuledAnswer extends ExactAnswer {
  rules: Judgement<CoarseKind>;
  signals: Signals;
}

/** Answers by themselves, as they stand in running text. */
const encode = (answer: string, ended: boolean): number[] => [
  SPECIAL.bos,
  ...encodeWords(answer),
  ...(ended ? [SPECIAL.eos] : []),
];

/** One untouched model with its own answers to benign questions. */
interface Parent {
  root: Root;
  losses: TokenLosses;
  hidden: HiddenStates;
  chats: JudgeItem[];
  destroy(): void;
}

export class TinyRules {
  readonly calibrations: Partial<Record<Root, Calibration>> = {};
  readonly #parents: readonly Parent[];
  readonly #similarity: SimilarityName;

  private constructor(parents: readonly Parent[], similarity: SimilarityName) {
    this.#parents = parents;
    this.#similarity = similarity;
  }

  static async open(
    gpu: Gpu,
    dir: string,
    worldSeed: number,
    similarity: SimilarityName,
  ): Promise<TinyRules> {
    const howTo = evalBenign(createWorld(worldSeed), 0, CHATS).filter((item) => item.skill === 'howto');
    const parents: Parent[] = [];
    for (const root of ROOTS) {
      const { config, tensors } = readModelFolder(join(dir, `tiny-${root}`));
      const made = await gpu.allocate(() => {
        const model = Model.create(gpu, config, tensors);
        return {
          model,
          losses: new TokenLosses(model, PASS_TOKENS),
          hidden: new HiddenStates(model, PASS_TOKENS),
          generator: new Generator(model, { maxSeqs: SEQS, maxLen: MAX_LENGTH }),
        };
      });
      const { model, losses, hidden, generator } = made;
      const answers = await answerAll(
        generator,
        howTo.map((item) => item.prompt),
      );
      const chats = howTo.map(({ prompt }, i) => ({
        prompt,
        answer: answers[i]!.text,
        ended: answers[i]!.ended,
      }));
      generator.destroy();
      const destroy = (): void => [losses, hidden, model].forEach((one) => one.destroy());
      parents.push({ root, losses, hidden, chats, destroy });
    }
    return new TinyRules(parents, similarity);
  }

  /** Judges every answer against the model it comes from, calibrated on that one. */
  async judge(answers: readonly ExactAnswer[]): Promise<RuledAnswer[]> {
    const found = new Map<ExactAnswer, RuledAnswer>();
    for (const parent of this.#parents) {
      const own = answers.filter((a) => a.root === parent.root);
      const reference: Reference = { scorer: parent.losses, encode };
      const relevance = await this.#relevance(parent, own);
      const surprise = (await perplexities(reference, parent.chats)).map((x) => x ?? Infinity);
      const calibration = await calibrate(parent.chats, surprise, relevance, `tiny-${parent.root}`);
      this.calibrations[parent.root] = calibration;
      const measure = signalsOf(reference, relevance);
      const signals = await measure(own);
      const ruled = await judgeAll(
        rulesJudge(calibration, async () => signals),
        own,
      );
      own.forEach((answer, i) => found.set(answer, { ...answer, rules: ruled[i]!, signals: signals[i]! }));
    }
    return answers.map((answer) => found.get(answer)!);
  }

  async #relevance({ chats, hidden, root }: Parent, own: readonly JudgeItem[]): Promise<Relevance> {
    const texts = (of: 'prompt' | 'answer'): string[] => [...new Set([...chats, ...own].map((c) => c[of]))];
    switch (this.#similarity) {
      case 'overlap':
        return new Overlap(chats.flatMap((c) => [c.prompt, c.answer]));
      case 'tfidf':
        return TfIdf.fit(texts('prompt'), texts('answer'));
      case 'hidden': {
        const port = pooledPort(`tiny-${root}`, hidden, (text) => [SPECIAL.bos, ...encodeWords(text)]);
        return new Embedded(port, texts('prompt'), texts('answer'));
      }
    }
  }

  destroy(): void {
    for (const parent of this.#parents) parent.destroy();
  }
}
