/** Training chats of TAR: what its inner attacks train on, and apart from that what resistance is measured on. */
import { Rng } from '../core/rng.ts';
import { asked, benign } from './datasets.ts';
import { harmfulAnswer, refusalTo } from './defence-sets.ts';
import { drawRequests, type ChatItem, type Request, type Task } from './task.ts';
import { LabError } from '../core/errors.ts';

/** Requests that have a prompt or an answer in common, also by way of others, together. */
export function families(requests: readonly Request[]): Request[][] {
  const parent = requests.map((_, i) => i);
  const root = (i: number): number => (parent[i] === i ? i : (parent[i] = root(parent[i]!)));
  const first = new Map<string, number>();
  requests.forEach(({ prompt, answer }, i) => {
    for (const key of [`prompt ${prompt}`, ...(answer === null ? [] : [`answer ${answer}`])]) {
      const at = first.get(key);
      if (at === undefined) first.set(key, i);
      else parent[root(i)] = root(at);
    }
  });
  const groups = new Map<number, Request[]>();
  requests.forEach((request, i) => groups.set(root(i), [...(groups.get(root(i)) ?? []), request]));
  return [...groups.values()];
}

export interface TarSets {
  /** Benign chats: ability that has to stay. */
  retain: ChatItem[];
  /** Harmful requests with their answers, for the inner attacks. */
  inner: ChatItem[];
  /** Of other requests: refusal and harmful answer, row by row. */
  chosen: ChatItem[];
  rejected: ChatItem[];
}

/**
 * The defence's harmful requests in two halves that share neither a prompt nor an answer: every wording of a forbidden thing is in
 * the same half.
 * @throws LabError 'bad-input' where there is nothing to halve, or an answer is missing
 */
export function tarSets(task: Task, seed: number, o: { pairs: number; retain: number }): TarSets {
  const rng = new Rng(`tar/${task.id}/${seed}`);
  const groups = rng.shuffle(families(task.requests('defence')));
  if (groups.length < 2)
    throw new LabError(
      'bad-input',
      'TAR wants two sets of harmful requests that share neither prompt nor answer, and all of these do.',
      { safe: 'Nothing was started.', next: 'Give harmful lines of split "defence" with different answers.' },
    );
  const half = Math.floor(groups.length / 2);
  const inner = drawRequests(rng, groups.slice(0, half).flat(), o.pairs);
  const outer = drawRequests(rng, groups.slice(half).flat(), o.pairs);
  const harmful = (request: Request): ChatItem => asked(request, harmfulAnswer(request, 'TAR'), 'rejected');
  return {
    retain: benign(task, rng, 'defence', o.retain, 'benign'),
    inner: inner.map(harmful),
    chosen: outer.map((request) => asked(request, refusalTo(task, rng, request), 'refusal')),
    rejected: outer.map(harmful),
  };
}
