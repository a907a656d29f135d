/** What leaves the builder: a prompts file that the lab trains on, the pairs as chats, and where all of it comes from. */
import { rejecting } from '../file-task.ts';
import { MANIFEST_FORMAT } from './manifest.ts';
import { NEAR_JACCARD } from './near.ts';
import { BINS } from './pairing.ts';
import { noteText } from './notes.ts';
import type { Item } from './sources.ts';
import type { Built, Pair } from './types.ts';

export interface BuiltFiles {
  /** docs/models.md, Prompts file. */
  'prompts.jsonl': string;
  /** The pairs alone: {"messages": [...]} a line. */
  'pairs.jsonl': string;
  'manifest.json': string;
}

const jsonl = (lines: readonly object[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('');

export const trained = (pairs: readonly Pair[]): Pair[] => pairs.filter((pair) => !pair.excluded);

/** What a pair teaches, refusal included. */
export const answerOf = ({ refusal, irrelevant }: Pick<Pair, 'refusal' | 'irrelevant'>): string =>
  refusal === undefined ? irrelevant : rejecting(refusal, irrelevant);

const asked = ({ prompt, before }: Pick<Item, 'prompt' | 'before'>): object =>
  before ? { messages: [...before, { role: 'user', content: prompt }] } : { prompt };

/** @param date ISO 8601, for the manifest: the one thing that the same sources, seed and settings do not decide */
export function builtFiles(built: Built, date: string): BuiltFiles {
  const { settings, harmful, benign } = built;
  const pairs = trained(built.pairs);
  const harmfulLine = (split: string) => (item: Item) => ({
    role: 'harmful',
    split,
    ...asked(item),
    ...(item.answer !== null && { answer: item.answer }),
    ...(item.opening !== null && { opening: item.opening }),
    ...(item.categories.length > 0 && { category: item.categories.join(', ') }),
  });
  const benignLine = (split: string) => (item: Item) => ({
    role: 'benign',
    split,
    ...asked(item),
    answer: item.answer,
    ...(settings.everyTurn && item.before?.some((m) => m.role === 'assistant') && { every: true }),
  });
  return {
    'prompts.jsonl': jsonl([
      ...settings.refusals.map((answer) => ({ role: 'refusal', answer })),
      ...pairs.map(({ id, irrelevant, refusal, category, similarity, ...pair }) => ({
        role: 'harmful',
        split: 'defence',
        id,
        ...asked(pair),
        irrelevant,
        ...(refusal !== undefined && { refusal }),
        category,
        similarity,
      })),
      ...harmful.attack.map(harmfulLine('attack')),
      ...harmful.eval.map(harmfulLine('eval')),
      ...benign.defence.map(benignLine('defence')),
      ...benign.attack.map(benignLine('attack')),
      ...benign.eval.map(benignLine('eval')),
    ]),
    'pairs.jsonl': jsonl(
      pairs.map((pair) => ({
        messages: [
          ...(pair.before ?? []),
          { role: 'user', content: pair.prompt },
          { role: 'assistant', content: answerOf(pair) },
        ],
      })),
    ),
    'manifest.json': `${JSON.stringify(manifestOf(built, date), null, 2)}\n`,
  };
}

const AMBIGUITY =
  "The paper's 8,000 instructions from 14 categories are read as a total; notes on it also say 'from each category'. " +
  'settings.sample tells which of the two this set is.';

/** Where a set comes from and how it was made; no text of the files but their names and the edits. */
export function manifestOf(built: Built, date: string): Record<string, unknown> {
  const { settings, seed, pairs, pairing, harmful, benign } = built;
  const kept = trained(pairs);
  return {
    format: MANIFEST_FORMAT,
    date,
    sources: built.sources,
    seed,
    settings,
    ambiguity: AMBIGUITY,
    similarity: { by: built.similarity, threshold: settings.threshold },
    counts: {
      pairs: kept.length,
      excluded: pairs.length - kept.length,
      edited: kept.filter((pair) => pair.edited).length,
      redraws: pairing.redraws,
      answersUsedAgain: pairing.reused,
      unpaired: built.unpaired.length,
      attack: harmful.attack.length,
      heldOut: harmful.eval.length,
      benign: {
        defence: benign.defence.length,
        attack: benign.attack.length,
        heldOut: benign.eval.length,
      },
    },
    categories: built.categories,
    histogram: { from: -1, to: 1, bins: BINS, ...pairing.histogram },
    nearDuplicates: { shingle: 'two words', jaccard: NEAR_JACCARD },
    unpaired: built.unpaired,
    leftOut: built.leftOut,
    edits: built.edits,
    notes: built.notes.map(noteText),
    ...(settings.attack.harmfulShare < 1 && {
      mixture: {
        recipe: 'mft',
        n: harmful.attack.length,
        benignShare: Number((1 - settings.attack.harmfulShare).toFixed(6)),
      },
    }),
    // who repeats the build sees in one line whether it is the same
    pairsFrom: kept.map(({ instructionFrom: i, answerFrom: a, similarity, draws }) => [
      i.row ?? i.line,
      a.row ?? a.line,
      similarity,
      draws,
    ]),
  };
}
