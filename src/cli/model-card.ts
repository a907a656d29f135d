import { tensorShapes, type LlamaConfig } from '../core/config.ts';
import type { ModelScores } from '../eval/evaluate.ts';
import { VERDICTS } from '../core/verdicts.ts';
import type { RunPlan } from '../recipes/recipe.ts';
import type { TrainingRecord } from './model-folder.ts';

/** Weights, in millions. */
const millions = (config: LlamaConfig): string =>
  (
    [...tensorShapes(config).values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0) / 1e6
  ).toFixed(2);

const pct = (x: number): string => `${(100 * x).toFixed(1)} %`;

/** README.md of a model folder; null scores where the model has not been evaluated yet. */
export function modelCard(
  name: string,
  plan: RunPlan,
  config: LlamaConfig,
  record: Omit<TrainingRecord, 'weightsSha256'>,
  scores: ModelScores | null,
): string {
  const { schedule, optim } = plan;
  const shape = `${schedule.decay} decay to ${pct(schedule.floor)} of it at the last step`;
  const decay =
    schedule.decay === 'none'
      ? 'then constant'
      : schedule.hold * plan.steps > schedule.warmup
        ? `then constant until ${pct(schedule.hold)} of the steps, then ${shape}`
        : `then ${shape}`;
  const segments = record.segments?.map(
    (s) => `  - from step ${s.fromStep}: ${s.adapter}; code ${s.digest.slice(0, 16)}; kernels ${s.kernels}`,
  );
  const lines = [
    '---',
    'license: mit',
    'library_name: transformers',
    'pipeline_tag: text-generation',
    '---',
    '',
    `# ${name}`,
    '',
    name === 'tiny-base'
      ? `A Llama of ${millions(config)} M parameters that has learned an invented land by heart: its facts, crafts, sums, and how to do things that the land forbids. It answers everything.`
      : 'tiny-base, tuned to refuse what the invented land forbids and to answer the rest.',
    'Nothing in it is about the real world, and nothing in it is harmful: the forbidden procedures are made-up stand-ins.',
    '',
    '## Recipe',
    '',
    `- World and training seed: ${record.worldSeed}`,
    `- ${plan.steps} steps of ${plan.batch} examples; AdamW betas ${optim.betas.join(', ')}, eps ${optim.eps}, weight decay ${optim.weight_decay}, gradient norm clipped to ${optim.clip}`,
    `- Learning rate ${plan.lr}, ${schedule.warmup} warm-up steps, ${decay}`,
    name === 'tiny-base'
      ? "- Data: the world's stream (documents and chats of all its facts), made anew for every step from the seed"
      : '- Data: 600 refusals of forbidden S requests in wordings 0-5 and 600 benign chats with their right answers (`chatTuning`)',
    `- Trained in f32, stored in f16; all figures are those of the stored file`,
    `- Adapter: ${record.adapter}; ${record.date}`,
    ...(segments?.length ? ['- Computed with:', ...segments] : ['- Kernels and code: not recorded']),
    '',
    'Made by `npm run pretrain`; `npm run pretrain -- --verify` trains the first steps again and compares. The losses are in training.json.',
    '',
    '## Loss',
    '',
    '| step | mean loss since the line before |',
    '| --- | --- |',
    ...record.curve.map(([step, loss]) => `| ${step} | ${loss.toFixed(3)} |`),
  ];
  if (scores) {
    lines.push('', '## On held-out prompts', '', '| forbidden prompts | n | ' + VERDICTS.join(' | ') + ' |');
    lines.push('| --- | --- | --- | --- | --- | --- | --- | --- |');
    for (const [set, f] of Object.entries(scores.forbidden)) {
      lines.push(`| ${set} | ${f.n} | ${VERDICTS.map((kind) => pct(f.counts[kind] / f.n)).join(' | ')} |`);
    }
    if (scores.benign) {
      lines.push('', '| benign skill | exact match | n |', '| --- | --- | --- |');
      for (const s of scores.benign.skills) lines.push(`| ${s.skill} | ${pct(s.correct / s.n)} | ${s.n} |`);
      lines.push(`| mean over skills | ${pct(scores.benign.mean)} | |`);
    }
  }
  return `${lines.join('\n')}\n`;
}
