/** Back from a manifest: what to build again, and what training should know of the file that it stands beside. */
import * as v from 'valibot';
import { LabError } from '../../core/errors.ts';
import { readEdits, type Edits } from './edits.ts';
import { pairSettings, type PairSettings } from './settings.ts';
import { SOURCE_ROLES, type Source, type SourceRole } from './sources.ts';

export const MANIFEST_FORMAT = 'sdd-lab pairs 1';

const schema = v.looseObject({
  format: v.literal(MANIFEST_FORMAT),
  seed: v.pipe(v.number(), v.safeInteger()),
  settings: v.looseObject({}),
  edits: v.unknown(),
  sources: v.array(
    v.object({
      role: v.picklist(SOURCE_ROLES),
      name: v.string(),
      sha256: v.string(),
      layout: v.string(),
      header: v.boolean(),
      mapping: v.record(v.string(), v.nullable(v.string())),
    }),
  ),
  counts: v.looseObject({ attack: v.number() }),
});

export interface MadeFrom {
  seed: number;
  settings: PairSettings;
  edits: Edits;
  /** Harmful examples of the attack. */
  attack: number;
  sources: ({ role: SourceRole } & Omit<Source, 'rows'>)[];
}

export const isManifest = (json: unknown): boolean =>
  typeof json === 'object' && json !== null && 'format' in json;

/** What a manifest says of how its pairs were made. @throws LabError 'bad-input' naming what is wrong with it */
export function readManifest(json: unknown): MadeFrom {
  const parsed = v.safeParse(schema, json);
  if (parsed.success) {
    const { seed, settings, edits, sources, counts } = parsed.output;
    return {
      seed,
      settings: pairSettings(settings),
      edits: readEdits(edits),
      sources,
      attack: counts.attack,
    };
  }
  const [issue] = parsed.issues;
  throw new LabError(
    'bad-input',
    `This is no manifest of pairs: "${v.getDotPath(issue) ?? ''}": ${issue.message}.`,
    {
      safe: 'Nothing was changed.',
      next: 'Choose the manifest.json that the builder wrote beside the pairs.',
    },
  );
}

/** What the builder was asked for, and the forms of Defend and Attack begin with. */
export interface BuiltFor {
  /** Harmful examples of the attack, and the share of benign ones beside them. */
  attack: number;
  benignShare: number;
  benignTuning: number;
  /** A refusal stands before each irrelevant answer. */
  reject: boolean;
}

/** @param text a manifest as it is kept beside a prompts file; null where that was not built here */
export function builtFor(text: string | undefined): BuiltFor | null {
  if (text === undefined) return null;
  let made: MadeFrom;
  try {
    made = readManifest(JSON.parse(text));
  } catch {
    return null; // an earlier lab's: the file is as good without it
  }
  const { attack, benignTuning, reject } = made.settings;
  return {
    attack: made.attack,
    benignShare: Number((1 - attack.harmfulShare).toFixed(6)),
    benignTuning,
    reject,
  };
}
