/** Insights that ship with the lab, read and checked. */
import * as v from 'valibot';
import { LabError } from '../core/errors.ts';
import { VERDICTS } from '../core/verdicts.ts';
import type { Recorded } from './insights.svelte.ts';

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const Look = v.object({
  forbidden: v.object({ n: count, counts: v.object(Object.fromEntries(VERDICTS.map((k) => [k, count]))) }),
  benign: v.object({ n: count, correct: count }),
  benignLoss: v.nullable(v.number()),
});
const About = v.object({
  createdAt: v.string(),
  command: v.string(),
  worldSeed: v.number(),
  seeds: v.object({ defence: v.number(), attack: v.number() }),
  adapter: v.string(),
  kernels: v.looseObject({}),
  code: v.string(),
  protocol: v.string(),
  weights: v.record(v.string(), v.string()),
  seconds: v.number(),
});
const common = { version: v.literal(1), about: About };
const prompts = v.object({ forbidden: count, perSkill: count });
const attack = v.object({ recipe: v.string(), settings: v.looseObject({}) });

const AttackMap = v.object({
  kind: v.literal('attack map'),
  ...common,
  model: v.string(),
  attack,
  prompts,
  rates: v.array(v.number()),
  steps: v.array(count),
  untouched: Look,
  cells: v.array(
    v.object({
      lr: v.number(),
      steps: count,
      loss: v.nullable(v.number()),
      look: v.nullable(Look),
      why: v.optional(v.string()),
    }),
  ),
  missing: v.array(v.object({ lr: v.number(), steps: count })),
});

const ends = { low: v.number(), high: v.number() };
const Conflict = v.object({
  kind: v.literal('gradient conflict'),
  ...common,
  batches: count,
  rows: count,
  deals: count,
  data: v.looseObject({}),
  models: v.array(
    v.object({
      model: v.string(),
      after: count,
      loss: v.object({ attack: v.number(), benign: v.number() }),
      norm: v.object({ attack: v.number(), benign: v.number() }),
      parts: v.array(
        v.object({
          part: v.string(),
          cosine: v.number(),
          ...ends,
          ofMeans: v.number(),
          withinAttack: v.number(),
          withinBenign: v.number(),
          null: v.object({ mean: v.number(), ...ends }),
          p: v.number(),
        }),
      ),
    }),
  ),
});

const Point = v.object({ t: v.number(), look: Look });
const Spread = v.object({ mean: v.number(), ...ends });
const margin = v.nullable(v.number());
const margins = { strict: margin, broad: margin, notRefused: margin, ability: v.number() };
const LandscapeSchema = v.object({
  kind: v.literal('safety landscape'),
  ...common,
  prompts,
  attack,
  radius: v.number(),
  models: v.array(
    v.object({
      model: v.string(),
      distance: v.number(),
      line: v.array(Point),
      directions: v.array(v.object({ seed: v.number(), points: v.array(Point) })),
      spread: v.array(
        v.object({ t: v.number(), shares: v.record(v.string(), Spread), benignLoss: v.nullable(Spread) }),
      ),
      visage: v.object({ ...margins, byDirection: v.array(v.object(margins)) }),
    }),
  ),
});

const Documents = v.array(v.variant('kind', [AttackMap, Conflict, LandscapeSchema]));

/** @throws LabError 'corrupt-model' naming the file and the field, 'offline' where it cannot be fetched */
export async function readRecorded(name: string): Promise<Recorded[]> {
  const path = `recorded/${name}.json`;
  const answer = await fetch(new URL(path, document.baseURI));
  if (!answer.ok)
    throw new LabError('not-found', `${path} could not be fetched (status ${answer.status}).`, {
      safe: 'Everything of your own is still here.',
      next: 'Reload the page when it is online again.',
    });
  const json: unknown = await answer.json().catch(() => null);
  const found = v.safeParse(Documents, Array.isArray(json) ? json : [json]);
  // Checking a long document and drawing it are two pieces of work; the page answers in between.
  await new Promise((done) => setTimeout(done));
  if (found.success) return found.output as unknown as Recorded[];
  const [issue] = found.issues;
  throw new LabError(
    'corrupt-model',
    `${path} is damaged: ${v.getDotPath(issue) ?? 'its top'}: ${issue.message}.`,
    {
      safe: 'Everything of your own is still here.',
      next: 'Reload the page; if it says the same again, this copy of the lab is damaged.',
    },
  );
}
