import { lab } from '../../app/lab.svelte.ts';
import type { RunView } from '../../app/runs.svelte.ts';
import { go } from '../router.svelte.ts';

/** The id of the panel that shows a run, in Defend and in Attack. */
export const RUN_PANEL = 'run';

/** Opens the place where a run belongs, at its charts. */
export function showRun(run: RunView): void {
  lab.training.shownId = run.id;
  go(run.head.kind === 'defence' ? 'defend' : 'attack', RUN_PANEL);
}
