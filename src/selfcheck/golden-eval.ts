/** Golden case P: multiple choice by three rules, perplexity, and what two models expect of the same tokens. */
import { scoreChoices, scoreLetters } from '../eval/choice.ts';
import { perplexity } from '../eval/perplexity.ts';
import { distributions, divergence, expectations } from '../eval/tokens.ts';
import { parseLlamaConfig } from '../core/config.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { loadTensors } from '../model/hf.ts';
import { Model } from '../model/model.ts';
import { scorerOf } from '../train/scorer.ts';
import { Trainer } from '../train/trainer.ts';
import { trimRows, type PaddedBatch } from './compare.ts';
import { checkerOf, file, json, type CaseFiles, type Report } from './golden-case.ts';

interface Item {
  prompt_ids: number[];
  choices: number[][];
  correct: number;
  letter_prompt_ids: number[];
  letter_ids: number[];
}

interface Eval {
  items: Item[];
  perplexity_batch: PaddedBatch;
  continuations: { prompt_ids: number[]; continuation_ids: number[] }[];
}

/** Tokens of one scoring call: more than one call is needed, so that cutting into batches is part of the case. */
const CAP = { maxTokens: 48, maxLabels: 48 };
const OPTIM = { betas: [0.9, 0.999] as [number, number], eps: 1e-8, clip: 0, weight_decay: 0 };

export async function runEval(gpu: Gpu, files: CaseFiles, report: Report): Promise<void> {
  const { items, perplexity_batch, continuations } = json(files, 'eval.json') as Eval;
  const check = checkerOf(files, report);

  const run = async <T>(weights: string, work: (scorer: ReturnType<typeof scorerOf>) => Promise<T>) => {
    const config = parseLlamaConfig(json(files, 'config.json'));
    const model = Model.create(gpu, config, loadTensors(config, { config, weights: [file(files, weights)] }));
    const trainer = new Trainer(model, OPTIM, CAP);
    try {
      return await work(scorerOf(trainer, CAP));
    } finally {
      trainer.destroy();
      model.destroy();
    }
  };
  const texts = continuations.map((c) => ({ prompt: c.prompt_ids, continuation: c.continuation_ids }));
  const rows = trimRows(perplexity_batch);

  const own = await run('model.safetensors', async (scorer) => {
    const choices = await scoreChoices(
      scorer,
      items.map((item) => ({ prompt: item.prompt_ids, choices: item.choices, right: item.correct })),
    );
    const letters = await scoreLetters(
      scorer,
      items.map((item) => ({ prompt: item.letter_prompt_ids, letters: item.letter_ids })),
    );
    items.forEach((_, i) => {
      check(`mc_sum.${i}`, Float64Array.from(choices[i]!.sum));
      check(`mc_norm.${i}`, Float64Array.from(choices[i]!.normalised));
      check(`mc_letter.${i}`, Float64Array.from(letters[i]!.logp));
    });
    const chosen = {
      sum: choices.map((c) => c.bySum),
      norm: choices.map((c) => c.byNormalised),
      letter: letters.map((l) => l.chosen),
    };
    for (const [rule, picks] of Object.entries(chosen)) {
      check(`mc_chosen_${rule}`, Float64Array.from(picks));
      const right = picks.filter((pick, i) => pick === items[i]!.correct).length;
      check(`mc_accuracy_${rule}`, Float64Array.of(right / items.length));
    }
    const text = await perplexity(scorer, rows);
    check('ppl_model', Float64Array.of(text.perplexity));
    check('ppl_per_sequence_model', Float64Array.from(text.perRow));
    return distributions(scorer, texts);
  });
  const parent = await run('parent_model.safetensors', async (scorer) => {
    const text = await perplexity(scorer, rows);
    check('ppl_parent', Float64Array.of(text.perplexity));
    check('ppl_per_sequence_parent', Float64Array.from(text.perRow));
    return distributions(scorer, texts);
  });

  const all = { kl: [] as number[], kl_reverse: [] as number[] };
  texts.forEach(({ continuation }, i) => {
    const tokens = expectations(continuation, own[i]!);
    check(
      `logp.${i}`,
      Float64Array.from(tokens, (t) => t.logp),
    );
    check(
      `logp_parent.${i}`,
      Float64Array.from(continuation, (id, k) => parent[i]![k]![id]!),
    );
    check(
      `entropy.${i}`,
      Float64Array.from(tokens, (t) => t.entropy),
    );
    const top = tokens.flatMap((t) => t.top);
    check(
      `top5_ids.${i}`,
      Float64Array.from(top, (t) => t.id),
    );
    check(
      `top5_logp.${i}`,
      Float64Array.from(top, (t) => t.logp),
    );
    const kl = own[i]!.map((p, k) => divergence(p, parent[i]![k]!));
    const reverse = own[i]!.map((p, k) => divergence(parent[i]![k]!, p));
    check(`kl.${i}`, Float64Array.from(kl));
    check(`kl_reverse.${i}`, Float64Array.from(reverse));
    all.kl.push(...kl);
    all.kl_reverse.push(...reverse);
  });
  const mean = (xs: readonly number[]): Float64Array =>
    Float64Array.of(xs.reduce((a, b) => a + b, 0) / xs.length);
  check('kl_mean', mean(all.kl));
  check('kl_reverse_mean', mean(all.kl_reverse));
  report.add('stored values that nothing was compared with', check.left().length, 0);
}
