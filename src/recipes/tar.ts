/**
 * TAR, tamper-resistant safeguards (Tamirisa et al., 'Tamper-Resistant Safeguards for Open-Weight LLMs', 2024, arXiv 2408.00761).
 * It attacks itself: M times K steps of fine-tuning on harmful answers, from a copy theta of the weights w, by SGD or AdamW at a
 * rate that is drawn for each attack. After the steps (all of them, or every `interval`-th) the gradient of a resistance loss on
 * other requests is taken at theta, as if it were one at w (first order, as the authors do):
 *
 *   g = scaleResist * mean over m, k of grad L_TR(theta_mk) + scaleRetain * grad L_retain(w)
 *
 *   L_TR      'entropy': mean over every position of sum p log p on <harmful request, harmful answer>: uncertain answers
 *             'dpo':     DPO of the refusal over the harmful answer, R the reference: refusals
 *   L_retain  token loss on benign chats + mean over layers and positions of ||h_l(w) - h_l(R)||, R the model that the run started from
 *
 * The authors' code takes other hidden states (embedding and final norm instead of the last layer), weighs steps and bounds the
 * loss; here it is as the paper writes it. A task costs 2K gradients without interval; beside them stand theta's way back, the
 * sum of the gradients, AdamW's two moments of the attack, and R: five sets as large as what is trained.
 */
import { LabError } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import type { Settings } from '../core/settings.ts';
import type { Batch } from '../core/types.ts';
import { tarSets } from '../data/tar-sets.ts';
import { Tampering, type InnerOptimizer, type TarObjective } from './tampering.ts';
import type { Recipe, StepMaker } from './recipe.ts';
import { cosine, num, runFields, runPlan } from './recipe.ts';
import { TINY_OPTIM } from './tiny.ts';

/** AdamW of an inner attack. */
const INNER = { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0 } as const;
/** Of the largest rate of an inner attack. */
const RATES = [1, 0.3, 0.1] as const;
/** Of DPO. */
const BETA = 0.1;

/** The other resistance loss has defaults of its own. */
const UNSURE = { key: 'resist', is: 'entropy' } as const;

/** How one attack of a step goes about it. */
function drawAttack(rng: Rng, s: Settings): { kind: InnerOptimizer; rate: number } {
  const kind = s.inner === 'both' ? rng.pick(['sgd', 'adamw'] as const) : s.inner === 'sgd' ? 'sgd' : 'adamw';
  return { kind, rate: rng.pick(RATES) * num(s, kind === 'sgd' ? 'sgdRate' : 'adamwRate') };
}

const objectiveOf = (s: Settings): TarObjective => (s.resist === 'entropy' ? 'entropy' : 'dpo');

/** @throws LabError 'bad-input' where no resistance gradient would ever be taken */
function requireInterval(s: Settings): void {
  if (num(s, 'interval') <= num(s, 'innerSteps')) return;
  throw new LabError(
    'bad-input',
    `A resistance gradient every ${num(s, 'interval')} inner steps is never taken: an attack has ${num(s, 'innerSteps')}.`,
    { safe: 'Nothing was started.', next: 'Take an interval of at most the inner steps.' },
  );
}

const step: StepMaker = {
  open: async (trainer, s) => {
    const objective = objectiveOf(s);
    const own = await trainer.grads.gpu.allocate(
      () => new Tampering(trainer, { objective, beta: BETA, adamw: s.inner === 'sgd' ? null : INNER }),
    );
    const [tasks, inner, interval] = [num(s, 'tasks'), num(s, 'innerSteps'), num(s, 'interval')];
    return {
      step: async ({ next, lr, rng }) => {
        own.begin();
        let resistance = 0;
        for (let m = 0; m < tasks; m++) {
          const batches: Batch[] = Array.from({ length: inner }, () => next('inner'));
          const held = { chosen: next('chosen'), rejected: next('rejected') };
          const { loss } = await own.attack(batches, held, {
            ...drawAttack(rng, s),
            interval,
            share: num(s, 'scaleResist') / tasks,
          });
          resistance += loss / tasks;
        }
        const scale = num(s, 'scaleRetain');
        const retain = await own.retain(next(), { scale, distance: num(s, 'distance') });
        own.combine();
        const loss = num(s, 'scaleResist') * resistance + scale * retain.loss;
        trainer.applyGradients(lr, retain.tokens, retain.labels, loss);
      },
      kept: [own.reference],
      close: () => own.close(),
    };
  },
};

/** Requests of a resistance gradient. */
const heldOut = (s: Settings): number => Math.ceil(num(s, 'batch') / 2);

/** Inner steps, resistance gradients of one row a request ('entropy') or two, and the retain gradient. */
function gradientsOf(s: Settings): number {
  const inner = num(s, 'innerSteps');
  const resistance = Math.floor(inner / num(s, 'interval'));
  const rows = (objectiveOf(s) === 'dpo' ? 2 : 1) * heldOut(s);
  return num(s, 'tasks') * (inner + (resistance * rows) / num(s, 'batch')) + 1;
}

/** The reference's scores in each attack, and its hidden states on the retain batch. */
const forwardsOf = (s: Settings): number =>
  (objectiveOf(s) === 'dpo' ? (num(s, 'tasks') * 2 * heldOut(s)) / num(s, 'batch') : 0) + 1;

export const tar: Recipe = {
  id: 'tar',
  title: 'TAR',
  kind: 'defence',
  source: 'Tamper-Resistant Safeguards, Tamirisa et al., 2024 (arXiv 2408.00761)',
  continuable: false,
  settings: [
    { key: 'resist', type: 'choice', default: 'dpo', choices: ['dpo', 'entropy'], main: true },
    ...runFields(1e-3, 100, { lr: 1e-3, alpha: 64 }).map((f) =>
      f.key === 'lr' ? { ...f, beside: { ...UNSURE, default: 5e-4 } } : f,
    ),
    { key: 'tasks', type: 'number', default: 1, min: 1, max: 8, step: 1, main: true },
    { key: 'innerSteps', type: 'number', default: 4, min: 1, max: 128, step: 1, main: true },
    { key: 'interval', type: 'number', default: 1, min: 1, max: 128, step: 1, main: false },
    { key: 'inner', type: 'choice', default: 'both', choices: ['both', 'sgd', 'adamw'], main: false },
    { key: 'adamwRate', type: 'number', default: 1e-3, min: 1e-7, max: 1, main: false },
    { key: 'sgdRate', type: 'number', default: 0.3, min: 1e-7, max: 100, main: false },
    {
      ...{ key: 'scaleResist', type: 'number', default: 8, min: 0, max: 1000, main: false },
      beside: { ...UNSURE, default: 4 },
    },
    { key: 'scaleRetain', type: 'number', default: 1, min: 0, max: 1000, main: false },
    { key: 'distance', type: 'number', default: 1, min: 0, max: 1000, main: false },
    { key: 'pairs', type: 'number', default: 500, min: 1, max: 20_000, step: 1, main: false },
    { key: 'retain', type: 'number', default: 500, min: 1, max: 20_000, step: 1, main: false },
  ],
  plan: (s) => ({
    ...runPlan(s),
    steps: num(s, 'steps'),
    schedule: cosine(num(s, 'steps')),
    optim: TINY_OPTIM,
    // a pair is two rows: a resistance gradient costs what an inner step does
    streams: { chosen: { batch: heldOut(s) }, rejected: { with: 'chosen' } },
  }),
  data: (task, s, seed) => {
    requireInterval(s);
    const { retain, ...others } = tarSets(task, seed, { pairs: num(s, 'pairs'), retain: num(s, 'retain') });
    return { main: retain, ...others };
  },
  needs: (s) => ({
    copies: s.inner === 'sgd' ? 3 : 5,
    taps: { hidden: ['out', 'inject'] },
    layerSets: 1,
    entropy: objectiveOf(s) === 'entropy',
    gradients: gradientsOf(s),
    forwards: forwardsOf(s),
  }),
  step,
};
