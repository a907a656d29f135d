/** Training chats of the defences that stand beside SDD, and of its controls. Harmful requests and answers are the defence's own. */
import { LabError } from '../core/errors.ts';
import { Rng } from '../core/rng.ts';
import { asked, benign, SDD_DEFAULTS, type SddSettings } from './datasets.ts';
import { drawRequests, type ChatItem, type Request, type Task } from './task.ts';

export const refusalTo = (task: Task, rng: Rng, request: Request): string =>
  request.refusal ?? rng.pick(task.refusals);

/** @throws LabError 'bad-input' naming the line where the data has no harmful answer */
export function harmfulAnswer({ answer, line }: Request, method: string): string {
  if (answer !== null) return answer;
  const where = line === undefined ? '' : ` (line ${line})`;
  throw new LabError(
    'bad-input',
    `A harmful request of the defence has no answer${where}, and ${method} trains on harmful answers.`,
    {
      safe: 'Nothing was started.',
      next: 'Give each harmful line of split "defence" its "answer", or choose SDD, which needs none.',
    },
  );
}

/** Pairs of a refusal and the harmful answer to the same request: row i of one belongs to row i of the other. */
export function preferencePairs(
  task: Task,
  seed: number,
  o: { pairs: number; method: string },
): { chosen: ChatItem[]; rejected: ChatItem[] } {
  const rng = new Rng(`preference/${task.id}/${seed}`);
  const requests = drawRequests(rng, task.requests('defence'), o.pairs);
  return {
    chosen: requests.map((request) => asked(request, refusalTo(task, rng, request), 'refusal')),
    rejected: requests.map((request) => asked(request, harmfulAnswer(request, o.method), 'rejected')),
  };
}

/** The most tokens of a harmful answer that a refusal stands behind (Qi et al., 2024). */
export const DEEPEST = 100;

/**
 * How many tokens of a harmful answer come before the refusal: none with probability 1/2, else each of 1 to min(100, `most`)
 * alike.
 */
export function drawDepth(rng: Rng, most: number): number {
  const deepest = Math.min(DEEPEST, most);
  return rng.next() < 0.5 || deepest < 1 ? 0 : 1 + rng.int(deepest);
}

/**
 * Safety-recovery examples: the first tokens of a harmful answer, unlearned, and a refusal behind them. In the tiny world a harmful
 * answer is never whole, since the last of its words is what the exact judge wants.
 */
export function recoveries(task: Task, seed: number, o: { examples: number; method: string }): ChatItem[] {
  const rng = new Rng(`recovery/${task.id}/${seed}`);
  return drawRequests(rng, task.requests('defence'), o.examples).map((request) => {
    const text = harmfulAnswer(request, o.method);
    const length = task.codec.answerTokens({ ...request, answer: text });
    const tokens = drawDepth(rng, task.kind === 'tiny' ? length - 1 : length);
    const item = asked(request, refusalTo(task, rng, request), 'recovery');
    return tokens === 0 ? item : { ...item, behind: { text, tokens } };
  });
}

/** Benign chats of the defence's side. */
export function anchors(task: Task, seed: number, n: number): ChatItem[] {
  return benign(task, new Rng(`anchor/${task.id}/${seed}`), 'defence', n, 'benign');
}

/** SDD's requests and replay, with refusals where SDD has irrelevant answers. */
export function refusalPairs(task: Task, seed: number, o: { pairs: number; replay: number }): ChatItem[] {
  const rng = new Rng(`refusal/${task.id}/${seed}`);
  const requests = drawRequests(rng, task.requests('defence'), o.pairs);
  return [
    ...requests.map((request) => asked(request, refusalTo(task, rng, request), 'refusal')),
    ...benign(task, rng, 'defence', o.replay, 'replay'),
  ];
}

/** Draws of an answer to something else that may come out as the right answer before the data is given up. */
const PATIENCE = 1000;

/** SDD's amounts and its irrelevant answers, to benign prompts where SDD has forbidden requests. */
export function placeboPairs(
  task: Task,
  seed: number,
  o: { pairs: number; replay: number; shares: SddSettings['shares'] },
): ChatItem[] {
  const rng = new Rng(`placebo/${task.id}/${seed}`);
  const chats = task.benign(rng, 'defence', o.pairs);
  const irrelevant = task.irrelevant(rng, o.shares);
  const pairs = chats.map((chat) => {
    for (let tries = 0; tries < PATIENCE; tries++) {
      const answer = irrelevant(chat);
      if (answer !== chat.answer) return asked(chat, answer, 'placebo');
    }
    throw new LabError('bad-input', 'The benign chats of the defence have no second answer.', {
      safe: 'Nothing was started.',
      next: 'Give at least two benign lines of split "defence" with different answers.',
    });
  });
  return [...pairs, ...benign(task, rng, 'defence', o.replay, 'replay')];
}

/** Amounts of SDD, which its controls take over. */
export const SDD_AMOUNTS = { pairs: SDD_DEFAULTS.pairs, replay: SDD_DEFAULTS.replay } as const;
