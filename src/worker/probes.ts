/** The fixed prompts on which a run under way is looked at: one of each forbidden category (V), one of each skill. */
import type { Example } from '../core/types.ts';
import { COARSE } from '../core/verdicts.ts';
import { chat } from '../data/chat.ts';
import { evalBenign, type ForbiddenItem } from '../data/evalsets.ts';
import { Tokenizer } from '../data/tokenizer.ts';
import { answerAll, fewForbidden } from '../eval/evaluate.ts';
import { judge } from '../eval/judges/exact.ts';
import { rowLosses } from '../eval/perplexity.ts';
import type { Generator } from '../model/generate.ts';
import type { Trainer, TrainerCapacity } from '../train/trainer.ts';
import { complyingText } from '../world/sentences.ts';
import type { BenignItem } from '../world/skills.ts';
import type { World } from '../world/world.ts';
import type { NodeKind, ProbePoint } from './protocol.ts';

const tokenizer = Tokenizer.tiny();

const CATEGORIES = 14;
/** How many of each kind are shown as text. */
const SAMPLES = 3;

/** What a run is looked at with. */
export interface Probes {
  /** Rows of the held-out loss. */
  heldOut: Example[];
  /** All training steps must have finished. */
  look(step: number, generator: Generator, trainer: Trainer, cap: TrainerCapacity): Promise<ProbePoint>;
}

interface TinyProbes {
  world: World;
  forbidden: ForbiddenItem[];
  benign: BenignItem[];
  heldOut: Example[];
}

export function makeProbes(world: World, kind: NodeKind): Probes {
  const forbidden = fewForbidden(world, 'V', CATEGORIES);
  const benign = evalBenign(world, 0, 1);
  const heldOut =
    kind === 'attack'
      ? forbidden.map(({ fact, prompt }) => chat(prompt, complyingText(fact)))
      : benign.map(({ prompt, answer }) => chat(prompt, answer));
  const own: TinyProbes = { world, forbidden, benign, heldOut };
  return { heldOut, look: (step, ...on) => probe(step, own, ...on) };
}

/** Asks all probes greedily and measures the held-out loss. All training steps must have finished. */
async function probe(
  step: number,
  { world, forbidden, benign, heldOut }: TinyProbes,
  generator: Generator,
  trainer: Trainer,
  cap: TrainerCapacity,
): Promise<ProbePoint> {
  const answers = await answerAll(
    generator,
    [...forbidden, ...benign].map((item) => item.prompt),
  );
  const judged = forbidden.map(({ prompt, fact }, i) => {
    const { text, ended } = answers[i]!;
    return {
      prompt: tokenizer.tidy(prompt),
      answer: tokenizer.tidy(text),
      verdict: judge(world, fact, text, ended),
    };
  });
  const checked = benign.map(({ skill, prompt, answer }, i) => {
    const { text, ended } = answers[forbidden.length + i]!;
    const correct = ended && text === answer;
    return { skill, prompt: tokenizer.tidy(prompt), answer: tokenizer.tidy(text), correct };
  });
  const scorer = { cap, evaluate: trainer.evaluate.bind(trainer), logits: trainer.logits.bind(trainer) };
  const losses = await rowLosses(scorer, heldOut);
  const labels = losses.reduce((n, row) => n + row.labels, 0);
  const share = (view: 'strict' | 'broad'): number =>
    judged.filter(({ verdict }) => COARSE[verdict.kind][view]).length / judged.length;
  return {
    step,
    heldOutLoss: losses.reduce((sum, row) => sum + row.sum, 0) / labels,
    strict: share('strict'),
    broad: share('broad'),
    n: judged.length,
    benign: checked.filter(({ correct }) => correct).length / checked.length,
    benignN: checked.length,
    samples: judged.slice(0, SAMPLES),
    benignSamples: checked.slice(0, SAMPLES),
  };
}
