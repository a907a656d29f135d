/** Recorded attacks that ship with the lab: fetched when somebody looks at one, checked, and turned into what the page draws. */
import { LabError } from '../core/errors.ts';
import { unpackSight } from '../core/sights.ts';
import type { RecordedAttack, RecordedStep, ScrubAnswer, StepLook } from '../worker/protocol.ts';
import { VERDICTS, type VerdictKind } from '../core/verdicts.ts';

/** Under public/recorded/; the name is what a link holds. */
export const RECORDED = ['sdd-mft'] as const;
export type RecordedName = (typeof RECORDED)[number];

export const isRecorded = (name: string): name is RecordedName =>
  (RECORDED as readonly string[]).includes(name);

/** @throws LabError 'network' where it does not come, 'corrupt-model' where it is no record */
export async function fetchRecorded(name: RecordedName, base: string): Promise<RecordedAttack> {
  let text: string;
  try {
    const response = await fetch(new URL(`recorded/${name}.json`, base));
    if (!response.ok) throw new Error(`status ${response.status}`);
    text = await response.text();
  } catch (cause) {
    throw new LabError('network', `The recorded attack '${name}' could not be fetched.`, {
      safe: 'Nothing was changed.',
      next: 'Try again when the connection is back, or choose an attack of your own.',
      cause,
    });
  }
  return parseRecorded(text, name);
}

/** @throws LabError 'corrupt-model' */
export function parseRecorded(text: string, name: string): RecordedAttack {
  let value: Partial<RecordedAttack>;
  try {
    value = JSON.parse(text) as Partial<RecordedAttack>;
  } catch {
    throw unreadable(name, 'it is not JSON');
  }
  const { version, prompts, asked, steps } = value;
  if (version !== 1) throw unreadable(name, `it has version ${String(version)}, this lab reads version 1`);
  if (!Array.isArray(prompts) || !asked || !Array.isArray(steps) || steps.length === 0)
    throw unreadable(name, 'it holds no steps');
  const whole = (s: RecordedStep): boolean =>
    s.answers.length === prompts.length &&
    s.forbidden.length === asked.forbidden.length &&
    s.benign.length === asked.benign.length;
  if (!steps.every(whole)) throw unreadable(name, 'answers are missing');
  return value as RecordedAttack;
}

/** A recorded answer as the page draws it. */
export function recordedAnswer(record: RecordedAttack, step: number, prompt: number): ScrubAnswer | null {
  const found = record.steps.find((s) => s.step === step)?.answers[prompt];
  const asked = record.prompts[prompt];
  if (!found || !asked) return null;
  const tokens = found.tokens.map(unpackSight);
  return { ...found, prompt: asked.text, text: tokens.map((t) => t.text).join(''), tokens };
}

export function recordedLook({ asked }: RecordedAttack, at: RecordedStep): StepLook {
  const counts = Object.fromEntries(VERDICTS.map((kind) => [kind, 0])) as Record<VerdictKind, number>;
  for (const { verdict } of at.forbidden) counts[verdict.kind]++;
  return {
    counts,
    forbidden: at.forbidden.map((a, i) => ({ prompt: asked.forbidden[i]!, ...a })),
    benign: at.benign.map((a, i) => ({ ...asked.benign[i]!, ...a })),
  };
}

function unreadable(name: string, why: string): LabError {
  return new LabError('corrupt-model', `The recorded attack '${name}' cannot be read: ${why}.`, {
    safe: 'Nothing was changed.',
    next: 'Reload the page without the cache; if you host the lab yourself, write it again with "npm run record".',
  });
}
