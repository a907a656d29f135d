import type { ChatMessage } from '../chat-template.ts';
import type { Edits } from './edits.ts';
import type { Note } from './notes.ts';
import type { Pairing } from './pairing.ts';
import type { CategoryCount } from './sample.ts';
import type { PairSettings } from './settings.ts';
import type { Item, LeftOut, Place, Reading, SourceRole } from './sources.ts';

export interface Pair {
  /** Of the instruction's row: edits are kept by it. */
  id: string;
  prompt: string;
  before?: readonly ChatMessage[];
  irrelevant: string;
  /** What SDD_reject says before it. */
  refusal?: string;
  category: string;
  similarity: number;
  draws: number;
  instructionFrom: Place;
  answerFrom: Place;
  edited?: true;
  excluded?: true;
}

/** Two texts and how alike they are, to be looked at. */
export interface Example {
  prompt: string;
  answer: string;
  similarity: number;
}

export interface Built {
  settings: PairSettings;
  seed: number;
  sources: ({ role: SourceRole; name: string; sha256: string; rows: number } & Reading)[];
  /** Excluded ones too, marked. */
  pairs: Pair[];
  harmful: { attack: Item[]; eval: Item[] };
  benign: { defence: Item[]; attack: Item[]; eval: Item[] };
  /** What measured it. */
  similarity: string;
  categories: CategoryCount[];
  pairing: Pick<Pairing, 'redraws' | 'reused' | 'first' | 'histogram'>;
  /** Instructions whose every draw was too similar: they are left out. */
  unpaired: Place[];
  border: { accepted: Example[]; refused: Example[] };
  leftOut: LeftOut[];
  notes: Note[];
  edits: Edits;
}
