/** Where a run stands: what is stored of it, and what the page is told. */
import type { OwnAnswers } from '../recipes/own-answers.ts';
import type { SessionPhase, SessionState } from '../train/session.ts';
import type { RunState } from './protocol.ts';

/** What a stored run holds beside its arrays. */
export interface StoredPlain {
  session: Omit<SessionState, 'weights' | 'm' | 'v' | 'kept'>;
  arithmetic: string;
  dataDigest: string;
  probeEvery: number;
  /** Of a run that holds the model to what it said before. */
  answers?: OwnAnswers;
}

/** What the page calls a session's phase. */
export const STATES: Record<SessionPhase, RunState> = {
  ready: 'starting',
  running: 'running',
  paused: 'paused',
  stopped: 'stopped',
  done: 'finished',
  failed: 'failed',
};
