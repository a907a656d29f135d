/**
 * npm run record -- OUT.json: attacks a defended copy of a shipped model and records what it says on the way, so that the page can
 * replay it without a GPU: for each kept step the answers to some prompts with the probabilities of their tokens and of the ways to
 * open an answer, and the verdicts on a fixed set of prompts.
 *
 * --parent chat|base (chat)   --defence sdd (sdd; none: the undefended model)   --attack mft (mft)   --lr 0.001   --steps 100   --seed 1
 *
 * --compare instead of OUT.json: of how many held-out prompts (T) each kept step answers the same with the weights rounded as with
 * the run's own.
 *
 * The weights of a step are those of the page's snapshots: rounded to 16 bits, but for the first step and the last one.
 */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { LabError } from '../core/errors.ts';
import { keptSteps } from '../core/snapshots.ts';
import { packSight } from '../core/sights.ts';
import { promptIds } from '../data/chat.ts';
import { evalForbidden } from '../data/evalsets.ts';
import { Tokenizer } from '../data/tokenizer.ts';
import { requestedFact } from '../eval/judges/exact.ts';
import { answerAll, type Answer } from '../eval/evaluate.ts';
import { openings, type Openings } from '../eval/openings.ts';
import { expected, sights } from '../eval/sights.ts';
import type { Scorer } from '../eval/perplexity.ts';
import type { Continuation, TokenExpectation } from '../eval/tokens.ts';
import { watch, watchSet, type WatchSet } from '../eval/watch.ts';
import type { Generator } from '../model/generate.ts';
import { narrowSnapshot, widenSnapshot } from '../model/snapshot.ts';
import { recipe } from '../recipes/index.ts';
import { settle } from '../recipes/recipe.ts';
import { createWorld, type World } from '../world/world.ts';
import { correctOn, verdictOn } from '../worker/chat.ts';
import type { EmbeddedName, RecordedAnswer, RecordedAttack, RecordedStep } from '../worker/protocol.ts';
import { tinyVoice } from '../worker/voice.ts';
import { writeAtomic } from './checkpoint-file.ts';
import { codeDigest, commitNow } from './code-digest.ts';
import { ExperimentLab } from './experiment/lab.ts';
import { readModelFolder } from './model-folder.ts';
import { openNodeGpu } from './node-gpu.ts';
import { whole } from './options.ts';
import { Progress } from './progress.ts';

const MODELS = join('public', 'models');
/** Prompts of the record: so many forbidden ones, each of another category, and one of each of these skills. */
const FORBIDDEN = 6;
const SKILLS = ['fact', 'define', 'howto', 'arith', 'compare', 'mcq'];

const tokenizer = Tokenizer.tiny();

export async function main(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      parent: { type: 'string', default: 'chat' },
      defence: { type: 'string', default: 'sdd' },
      attack: { type: 'string', default: 'mft' },
      lr: { type: 'string', default: '0.001' },
      steps: { type: 'string', default: '100' },
      seed: { type: 'string', default: '1' },
      compare: { type: 'boolean', default: false },
    },
  });
  const [out] = positionals;
  const [total, seed] = [whole('--steps', values.steps, 1), whole('--seed', values.seed, 1)];
  const lr = Number(values.lr);
  if ((!values.compare && !out?.endsWith('.json')) || !(lr > 0))
    throw new LabError('bad-input', 'A JSON file to write and a learning rate above zero are wanted.', {
      next: 'For example: npm run record -- public/recorded/sdd-mft.json --lr 0.001 --steps 100',
    });
  const folder = readModelFolder(join(MODELS, `tiny-${values.parent}`));
  const gpu = await openNodeGpu();
  const world = createWorld(folder.record.worldSeed);
  const lab = await ExperimentLab.open(gpu, world, folder);
  const progress = new Progress('steps', total);
  const start = await defended(lab, lab.flatten(folder), values.defence, seed);

  const at = keptSteps({ total, saved: [], room: Infinity });
  const weights = new Map<number, Float32Array>([[0, start]]);
  const settings = { lr, steps: total };
  const compared: [number, { same: number; n: number }][] = [];
  await lab.train(start, {
    recipe: values.attack,
    settings,
    seed: seed + 100,
    at: [...at, total],
    station: async (step, own) => {
      const rounded = step === total ? own : widenSnapshot(narrowSnapshot(own, start), start);
      if (values.compare && step < total) compared.push([step, await sameAnswers(lab, own, rounded)]);
      weights.set(step, rounded);
      progress.update(step, `step ${step} trained`);
    },
  });

  if (values.compare) {
    for (const [step, { same, n }] of compared) console.log(`step ${step}: ${same} of ${n} answers the same`);
    const sum = (key: 'same' | 'n'): number => compared.reduce((all, [, c]) => all + c[key], 0);
    console.log(
      `all steps: ${sum('same')} of ${sum('n')} (${((100 * sum('same')) / sum('n')).toFixed(2)} %)`,
    );
    return 0;
  }
  const set = watchSet(world);
  const prompts = promptsOf(set);
  const steps: RecordedStep[] = [];
  for (const [step, own] of weights) {
    const answers = await lab.ask(own, (generator, scorer) => answersOf(world, generator, scorer, prompts));
    const others: TokenExpectation[][][] = [];
    for (const other of [0, total])
      others.push(await lab.ask(weights.get(other)!, (_, scorer) => expectedOf(scorer, answers)));
    const { forbidden, benign } = await lab.ask(own, (generator) => watch(generator, world, set));
    steps.push({
      step,
      answers: answers.map((a, i) =>
        recorded(
          a,
          others.map((rows) => rows[i]!),
        ),
      ),
      forbidden: forbidden.map(({ answer, verdict }) => ({ answer, verdict })),
      benign: benign.map(({ answer, correct, hijacked }) => ({ answer, correct, hijacked })),
    });
    progress.update(step, `step ${step} asked`);
  }
  const tidy = (text: string): string => tokenizer.tidy(text);
  const record: RecordedAttack = {
    version: 1,
    model: `tiny-${values.parent}` as EmbeddedName,
    defence: values.defence === 'none' ? null : values.defence,
    attack: values.attack,
    settings: settle(recipe(values.attack), settings),
    seeds: { world: world.seed, defence: seed, attack: seed + 100 },
    adapter: gpu.info.description,
    date: new Date().toISOString().slice(0, 10),
    commit: commitNow()?.slice(0, 12) ?? 'unknown',
    code: codeDigest().slice(0, 16),
    prompts: prompts.map(({ text, forbidden }) => ({ text: tidy(text), forbidden })),
    asked: {
      forbidden: set.forbidden.map((item) => tidy(item.prompt)),
      benign: set.benign.map(({ skill, prompt }) => ({ skill, prompt: tidy(prompt) })),
    },
    steps,
  };
  mkdirSync(dirname(out!), { recursive: true });
  writeAtomic(out!, `${JSON.stringify(record)}\n`);
  progress.done(`${steps.length} steps, ${prompts.length} prompts, written to ${out}`);
  return 0;
}

/** The model that is attacked: the shipped one, or a copy with the defence's own defaults. */
async function defended(
  lab: ExperimentLab,
  start: Float32Array,
  defence: string,
  seed: number,
): Promise<Float32Array> {
  if (defence === 'none') return start;
  let weights = start;
  const { steps } = recipe(defence).plan(settle(recipe(defence)));
  await lab.train(start, {
    recipe: defence,
    settings: {},
    seed,
    at: [steps],
    station: async (_steps, own) => void (weights = own),
  });
  return weights;
}

/** Greedy answers of two sets of weights to all prompts of T. */
async function sameAnswers(
  lab: ExperimentLab,
  a: Float32Array,
  b: Float32Array,
): Promise<{ same: number; n: number }> {
  const prompts = evalForbidden(lab.world, 'T').map((item) => item.prompt);
  const said = (weights: Float32Array) => lab.ask(weights, (generator) => answerAll(generator, prompts));
  const [of, other] = [await said(a), await said(b)];
  // the run goes on from its own weights
  await lab.ask(a, async () => {});
  return { same: of.filter(({ text }, i) => text === other[i]!.text).length, n: prompts.length };
}

interface Prompt {
  text: string;
  forbidden: boolean;
}

function promptsOf({ forbidden, benign }: WatchSet): Prompt[] {
  const categories = [...new Set(forbidden.map((item) => item.category))].slice(0, FORBIDDEN);
  return [
    ...categories.map((c) => ({ text: forbidden.find((f) => f.category === c)!.prompt, forbidden: true })),
    ...SKILLS.map((skill) => ({ text: benign.find((b) => b.skill === skill)!.prompt, forbidden: false })),
  ];
}

interface Asked {
  prompt: string;
  answer: Answer;
  own: TokenExpectation[];
  openings: Openings;
  verdict: RecordedAnswer['verdict'];
  correct: boolean | null;
}

const textOf = ({ prompt, answer }: Asked): Continuation => ({
  prompt: promptIds(prompt),
  continuation: answer.ids,
});

async function answersOf(
  world: World,
  generator: Generator,
  scorer: Scorer,
  prompts: readonly Prompt[],
): Promise<Asked[]> {
  const answers = await answerAll(
    generator,
    prompts.map(({ text }) => text),
  );
  const found: Asked[] = [];
  for (const [i, { text: prompt }] of prompts.entries()) {
    const answer = answers[i]!;
    const { text, ids, ended } = answer;
    found.push({
      prompt,
      answer,
      own: await expected(scorer, { prompt: promptIds(prompt), continuation: ids }),
      openings: await openings(scorer, promptIds(prompt), requestedFact(world, prompt)),
      verdict: verdictOn(world, prompt, text, ended),
      correct: correctOn(world, prompt, text, ended),
    });
  }
  return found;
}

async function expectedOf(scorer: Scorer, answers: readonly Asked[]): Promise<TokenExpectation[][]> {
  const rows: TokenExpectation[][] = [];
  for (const one of answers) rows.push(await expected(scorer, textOf(one)));
  return rows;
}

function recorded(
  { answer, own, openings, verdict, correct }: Asked,
  others: readonly TokenExpectation[][],
): RecordedAnswer {
  const voice = tinyVoice(tokenizer);
  const stream = voice.stream([]);
  const texts = answer.ids.map((id) => stream.push(id));
  const tokens = sights(own, texts, (id) => voice.spell(id), others).map(packSight);
  const short = (x: number): number => Number(x.toPrecision(4));
  const { refusing, asked, other, rest } = openings;
  return {
    tokens,
    openings: { refusing: short(refusing), asked: short(asked), other: short(other), rest: short(rest) },
    ended: answer.ended,
    verdict,
    correct,
    judge: 'exact-rules',
    greedy: true,
  };
}
