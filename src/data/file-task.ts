import { LabError } from '../core/errors.ts';
import type { Settings } from '../core/settings.ts';
import type { BuiltFor } from './pairs/manifest.ts';
import type { Prompts } from './prompts-file.ts';
import { drawRequests, type ChatCodec, type Side, type Task } from './task.ts';

/** What a model refuses with where the file has no words of its own for it. */
export const REFUSALS: readonly string[] = [
  "I'm sorry, but I can't help with that.",
  'I cannot assist with that request.',
  "I'm not able to help with that.",
];

/** A file's own words of refusal, or the lab's. */
export const refusalsOf = ({ refusals }: Pick<Prompts, 'refusals'>): readonly string[] =>
  refusals.length > 0 ? refusals : REFUSALS;

/**
 * Rates of the field, not tuned here. All weights: 5e-5 for the attack in batches of 10 (Qi et al., ICLR 2024), 2e-5 otherwise
 * (Stanford Alpaca); an adapter of rank 8: 2e-4 (Dettmers et al., QLoRA, 2023), alpha 16.
 */
const LORA = { lr: 2e-4, alpha: 16 };
const FULL_LR = { attack: 5e-5, other: 2e-5 } as const;
const ATTACK_BATCH = 10;
/** Preferences move a model far faster: the largest rate of the SimPO authors, and that of the alignment handbook's adapters for DPO. */
const PREFERENCE_LR = { full: 1e-6, lora: 5e-6 } as const;

/**
 * Recipes' defaults by the size of the file: every request once, as far as the recipe's own default goes, or as the builder of the file was
 * asked for.
 */
function defaultsFor(prompts: Prompts, recipe: string, lora: boolean, built: BuiltFor | null): Settings {
  const lr = lora ? LORA.lr : FULL_LR[recipe === 'mft' ? 'attack' : 'other'];
  const most = (wanted: number, there: number): number => Math.max(1, Math.min(wanted, there));
  const rate = { lr, ...(lora && { alpha: LORA.alpha }) };
  const paired = prompts.harmful.defence.filter((r) => r.irrelevant !== undefined).length;
  switch (recipe) {
    case 'sdd':
    case 'sdd-paper':
    case 'sdd-reject':
      return {
        ...rate,
        // what was paired on purpose is trained as a whole
        pairs: most(Math.max(1000, paired), prompts.harmful.defence.length),
        ...(recipe === 'sdd' && { replay: Math.min(20, prompts.benign.defence.length) }),
      };
    case 'mft':
      return {
        ...rate,
        n: most(built?.attack ?? 100, prompts.harmful.attack.length),
        batch: ATTACK_BATCH,
        ...(built && { benignShare: built.benignShare }),
      };
    case 'refusal-sft':
    case 'placebo':
      return {
        ...rate,
        pairs: most(
          1000,
          recipe === 'placebo' ? prompts.benign.defence.length : prompts.harmful.defence.length,
        ),
        replay: Math.min(20, prompts.benign.defence.length),
      };
    case 'simpo':
      return {
        ...rate,
        lr: lora ? PREFERENCE_LR.lora : PREFERENCE_LR.full,
        pairs: most(1000, prompts.harmful.defence.length),
      };
    case 't-vaccine':
    case 'booster':
      return { ...rate, pairs: most(1000, prompts.harmful.defence.length) };
    case 'tar':
      return {
        ...rate,
        pairs: most(500, prompts.harmful.defence.length),
        retain: most(500, prompts.benign.defence.length),
      };
    case 'deepalign':
      return {
        ...rate,
        safety: most(600, prompts.harmful.defence.length),
        benign: most(2400, prompts.benign.defence.length),
      };
    case 'chat-tuning':
      return {
        ...rate,
        refusals: most(600, prompts.harmful.defence.length),
        benign: Math.min(600, prompts.benign.defence.length),
      };
    case 'bft':
      return { ...rate, n: most(built?.benignTuning ?? 500, prompts.benign.attack.length) };
    default:
      return {};
  }
}

/** A refusal with an irrelevant answer behind it, as SDD_reject trains it on a user's prompts. */
export const rejecting = (refusal: string, answer: string): string => `${refusal} Instead: ${answer}`;

/**
 * A user's prompts for a user's model. An irrelevant answer is the one that the file pairs with the request, or else a benign
 * answer of the defence's split, in random order and none twice before all were used; it knows no kinds of answers, no new
 * skill, and no exact judge.
 * @param built what the lab built the file for
 */
export function fileTask(prompts: Prompts, codec: ChatCodec, built: BuiltFor | null = null): Task {
  const wanted = <T>(list: readonly T[], what: string, split: string): readonly T[] => {
    if (list.length > 0) return list;
    throw new LabError('bad-input', `The prompts file has no ${what} with split "${split}".`, {
      safe: 'Nothing was started.',
      next: 'Add such lines; docs/models.md describes the format.',
    });
  };
  const benign = (side: Side) => wanted(prompts.benign[side], 'benign line', side);
  return {
    kind: 'file',
    id: prompts.sha256,
    requests: (side) => wanted(prompts.harmful[side], 'harmful line', side),
    irrelevant: (rng) => {
      let left: string[] = [];
      return ({ irrelevant }) => {
        if (irrelevant !== undefined) return irrelevant;
        if (left.length === 0) left = rng.shuffle(benign('defence').map((chat) => chat.answer));
        return left.pop()!;
      };
    },
    benign: (rng, side, n, skill = 'familiar') => {
      if (skill === 'new-skill')
        throw new LabError('bad-input', 'A prompts file does not say which skill is new to the model.', {
          safe: 'Nothing was started.',
          next: 'Choose familiar skills; the benign lines of split "attack" may hold whatever is to be learned.',
        });
      return n === 0 ? [] : drawRequests(rng, benign(side), n);
    },
    refusals: refusalsOf(prompts),
    reject: rejecting,
    heldOut: { harmful: prompts.harmful.eval, benign: prompts.benign.eval },
    codec,
    defaults: (recipe, lora) => defaultsFor(prompts, recipe, lora, built),
  };
}
