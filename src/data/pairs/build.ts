/**
 * From data files to what a defence and its attacks are trained on: a pure function of files, seed and settings. Harmful
 * instructions, balanced over their categories, each get the answer to something else (SDD, Chen et al., ACL 2025); beside them
 * stand an attack, benign chats, and held-out prompts that nothing is trained on.
 */
import { LabError } from '../../core/errors.ts';
import { Rng } from '../../core/rng.ts';
import { promptKey } from '../prompts-file.ts';
import { attackSet } from './attack.ts';
import { benignSets, heldOut, ofCategories, required, usable } from './choose.ts';
import { laidOver, type Edits } from './edits.ts';
import { Apart, ATTACKED, HELD_OUT } from './holdout.ts';
import { notesOn } from './notes.ts';
import { drawPairs, type Drawn } from './pairing.ts';
import { balancedSample } from './sample.ts';
import type { PairSettings } from './settings.ts';
import { Embedded, type Similarity, type SimilarityPort } from './similarity.ts';
import { LeftOuts, type Item, type SourceRole, type Sources } from './sources.ts';
import { TfIdf } from './tfidf.ts';
import type { Built, Example, Pair } from './types.ts';
import type { Watch } from './watch.ts';

/** Keeps what is costly and does not depend on threshold, refusals or edits, for a person who tries several. */
export class SimilarityCache {
  #key = '';
  #kept: Similarity | null = null;

  async get(key: string, make: () => Promise<Similarity>): Promise<Similarity> {
    if (this.#key !== key) this.#kept = null;
    this.#kept ??= await make();
    this.#key = key;
    return this.#kept;
  }
}

export interface BuildOptions {
  /** For the similarity 'hidden'. */
  port?: SimilarityPort;
  cache?: SimilarityCache;
  watch?: Watch;
}

/** What was drawn: edits are laid over it as often as a person changes them. */
export type Draft = (edits: Edits) => Promise<Built>;

/** @throws as draftPairs, and LabError 'bad-input' for an edit that repeats a held-out prompt */
export async function buildPairs(
  sources: Sources,
  settings: PairSettings,
  seed: number,
  { edits = {}, ...options }: BuildOptions & { edits?: Edits } = {},
): Promise<Built> {
  return (await draftPairs(sources, settings, seed, options))(edits);
}

/**
 * @param settings as pairSettings() returns them
 * @throws LabError 'bad-input' for an empty set, a category that is not there, a threshold that refuses everything; the signal's
 *   reason when it was stopped
 */
export async function draftPairs(
  sources: Sources,
  settings: PairSettings,
  seed: number,
  { port, cache = new SimilarityCache(), watch = {} }: BuildOptions = {},
): Promise<Draft> {
  const out = new LeftOuts();
  const given = (Object.entries(sources) as [SourceRole, Sources['harmful']][]).flatMap(([role, files]) =>
    files.map(({ name, sha256, rows }) => ({ role, name, sha256, rows: rows.length })),
  );
  const rng = new Rng(`pairs/${given.map((s) => `${s.role}:${s.sha256}`).join()}/${seed}`);
  watch.progress?.('read', 0, 1);
  const items = await usable(sources, out, watch);
  required(items.harmful ?? [], 'harmful', sources, out);
  required(items.answers ?? [], 'answers', sources, out);
  const harmful = ofCategories(items.harmful!, settings.categories, out);

  const held = heldOut(rng.fork('held-out'), items.eval, harmful, settings.heldOut);
  const apart = new Apart(held);
  const heldIds = new Set(held.map((item) => item.id));
  const notHeld = harmful.filter((item) => !heldIds.has(item.id));
  const attackable = await apart.filter(items.attack ?? [], 'attack', HELD_OUT, out, watch);
  const attack = attackSet(rng.fork('attack'), attackable, settings.attack, out);
  let instructions = await apart.filter(notHeld, 'harmful', HELD_OUT, out, watch);
  if (settings.attack.apart)
    instructions = await new Apart(attack).filter(instructions, 'harmful', ATTACKED, out, watch);
  required(instructions, 'harmful', sources, out);

  const benign = await benignSets(rng.fork('benign'), items.benign ?? items.answers!, held, settings, {
    harmful: attack.length,
    out,
    watch,
  });
  const benignHeld = new Set(benign.eval.map((item) => item.key));
  const answers = items.answers!.filter((item) => !benignHeld.has(item.key));

  const sample = balancedSample(rng.fork('sample'), instructions, settings.sample);
  const chosen = sample.chosen.map(({ index, category }) => ({ item: instructions[index]!, category }));
  const cacheKey = JSON.stringify([given, seed, port?.id, { ...settings, ...NOT_MEASURED }]);
  const similarity = await cache.get(cacheKey, () =>
    measure(
      settings,
      chosen.map(({ item }) => said(item)),
      answers.map((item) => item.answer!),
      port,
      watch,
    ),
  );
  const { pairs: drawn, ...pairing } = await drawPairs(
    rng.fork('answers'),
    { instructions: chosen.length, answers: answers.length },
    similarity,
    settings,
    watch,
  );

  const refusals = rng.fork('refusals');
  const pairOf = (d: Drawn): Pair => {
    const { item, category } = chosen[d.instruction]!;
    const answer = answers[d.answer]!;
    return {
      id: item.id,
      prompt: item.prompt,
      ...(item.before && { before: item.before }),
      irrelevant: answer.answer!,
      ...(settings.reject && { refusal: refusals.pick(settings.refusals) }),
      category,
      similarity: d.similarity,
      draws: d.draws,
      instructionFrom: { source: item.source, line: item.line },
      answerFrom: { source: answer.source, line: answer.line },
    };
  };
  const seeded = drawn.map(pairOf);

  const paired = new Set(drawn.map((d) => answers[d.answer]!.key));
  const isFree = (item: Item): boolean => !paired.has(item.key);
  const exampleOf = (d: Drawn): Example => ({
    prompt: chosen[d.instruction]!.item.prompt,
    answer: answers[d.answer]!.answer!,
    similarity: d.similarity,
  });
  const built = {
    settings,
    seed,
    sources: given,
    harmful: { attack, eval: held },
    benign: {
      eval: benign.eval,
      attack: benign.attack,
      // chats whose answer is nobody's irrelevant one come first
      defence: [...benign.rest.filter(isFree), ...benign.rest.filter((item) => !isFree(item))].slice(
        0,
        settings.replay,
      ),
    },
    similarity: similarity.id,
    categories: sample.counts,
    pairing: {
      redraws: pairing.redraws,
      reused: pairing.reused,
      first: pairing.first,
      histogram: pairing.histogram,
    },
    unpaired: pairing.unpaired.map((i) => ({ source: chosen[i]!.item.source, line: chosen[i]!.item.line })),
    border: {
      accepted: pairing.border.accepted.map(exampleOf),
      refused: pairing.border.refused.map(exampleOf),
    },
    leftOut: out.list(),
  };
  const known = {
    answers: answers.length,
    benignWanted: benign.wanted,
    attackGiven: items.attack !== undefined,
    evalGiven: items.eval !== undefined,
  };
  return async (edits) => {
    const { pairs, unused } = laidOver(seeded, edits);
    await measureEdited(pairs, apart, similarity);
    const whole = { ...built, pairs, edits };
    return { ...whole, notes: notesOn(whole, { ...known, unused: unused.length }) };
  };
}

/** Settings that change no similarity. */
const NOT_MEASURED = { threshold: 0, maxDraws: 0, reject: false, refusals: [], replay: 0 };

/** All that the user says: what an answer must not be about. */
const said = ({ prompt, before = [] }: Pick<Item, 'prompt' | 'before'>): string =>
  [...before.filter((m) => m.role === 'user').map((m) => m.content), prompt].join('\n');

async function measure(
  { similarity }: PairSettings,
  instructions: readonly string[],
  answers: readonly string[],
  port: SimilarityPort | undefined,
  watch: Watch,
): Promise<Similarity> {
  if (similarity === 'tfidf') return TfIdf.fit(instructions, answers, watch);
  if (port) return new Embedded(port, instructions, answers);
  throw new LabError('bad-input', 'Comparing by hidden states needs a loaded model, and there is none.', {
    safe: 'Nothing was built, and the sets are as they were.',
    next: 'Open a model, or compare by words (TF-IDF).',
  });
}

/** Edited pairs get the similarity of their new texts. @throws LabError 'bad-input' when one now asks what is held out */
async function measureEdited(pairs: readonly Pair[], apart: Apart, similarity: Similarity): Promise<void> {
  const edited = pairs.filter((pair) => pair.edited);
  for (const { prompt, before, instructionFrom } of edited) {
    if (apart.like(promptKey({ prompt, ...(before && { before }) })) === null) continue;
    const { source, line } = instructionFrom;
    throw new LabError(
      'bad-input',
      `The edited instruction of ${source}, line ${line}, is a held-out prompt.`,
      {
        safe: 'Nothing was built, and the sets are as they were.',
        next: 'Word it in another way, or exclude the pair.',
      },
    );
  }
  const found = await similarity.ofTexts(edited.map((pair) => [said(pair), pair.irrelevant]));
  edited.forEach((pair, i) => (pair.similarity = found[i]!));
}
