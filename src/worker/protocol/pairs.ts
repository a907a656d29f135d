/** The builder of SDD pairs: from imported data sets to a prompts file. */
import type { Edits } from '../../data/pairs/edits.ts';
import type { Note } from '../../data/pairs/notes.ts';
import type { CategoryCount } from '../../data/pairs/sample.ts';
import type { PairSettings, PairSettingsInput } from '../../data/pairs/settings.ts';
import type { LeftOut, Place, SourceRole } from '../../data/pairs/sources.ts';
import type { Example, Pair } from '../../data/pairs/types.ts';
import type { SelfTest } from '../../llm/ports.ts';
import type { Stage } from '../../data/pairs/watch.ts';

export type {
  CategoryCount,
  Edits,
  Example,
  LeftOut,
  Note,
  Pair,
  PairSettings,
  PairSettingsInput,
  Place,
  SourceRole,
};

export interface PairRequest {
  /** Ids of data sets by what they are used for. */
  sources: Partial<Record<SourceRole, string[]>>;
  settings: PairSettingsInput;
  seed: number;
  edits: Edits;
  /** The model whose hidden states compare, where the settings ask for it. */
  nodeId: string | null;
  /** The embedding model of WebLLM that compares, where the settings ask for it. */
  embedder?: string | null;
}

export interface PairProgress {
  /** `load`: WebLLM's model comes, in hundredths. */
  stage: Stage | 'load';
  done: number;
  total: number;
}

/** What a form begins with. */
export interface PairDefaults {
  settings: PairSettings;
  thresholds: Record<PairSettings['similarity'], number>;
  attackSizes: readonly (number | 'all')[];
  /** Instructions in all that suit the model, and those of the paper. */
  total: number;
  paper: { instructions: number; categories: number };
}

/** The form of the builder with its edits, as it is kept in this browser. */
export interface PairForm {
  sources: Record<SourceRole, string[]>;
  /** Null: those that suit. */
  settings: PairSettings | null;
  seed: number;
  edits: Edits;
  nodeId: string | null;
  embedder?: string | null;
  /** Pairs were built of it. */
  built: boolean;
}

/** A manifest as a form. */
export interface PairsAgain {
  form: PairForm;
  /** Names of files that are not imported as the manifest says. */
  missing: string[];
}

/** What was built, without its rows; these are read by `pairsPage`. */
export interface PairsView {
  /** The embeddings failed their self-test, and words (TF-IDF) were compared instead. */
  unreliable?: SelfTest;
  settings: PairSettings;
  seed: number;
  pairs: number;
  excluded: number;
  edited: number;
  unpaired: number;
  redraws: number;
  reused: number;
  attack: number;
  heldOut: number;
  benign: { defence: number; attack: number; eval: number };
  categories: CategoryCount[];
  /** Similarity of every instruction's first draw. */
  first: number[];
  border: { accepted: Example[]; refused: Example[] };
  leftOut: LeftOut[];
  notes: Note[];
  sources: { role: SourceRole; name: string }[];
}

/** As they were drawn, the most similar first, or those that a person changed. */
export type PairOrder = 'drawn' | 'similar' | 'changed';
