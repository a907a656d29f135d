/**
 * From data files to what a defence and its attacks are trained on: a pure function of files, seed and settings. Harmful
 * instructions, balanced over their categories, each get the answer to something else (SDD, Chen et al., ACL 2025); beside them
 * stand an attack, benign chats, and held-out prompts that nothing is trained on.
 */
import { LabError } from '../../core/errors.ts';
import { Rng } from '../../core/rng.ts';
import { promptKey } from '../prompts-file.ts';
import { attackSet } from './attack.ts';
import { benignHeldOut, benignSides, heldOut, ofCategories, required, usable } from './choose.ts';
import { laidOver, type Edits } from './edits.ts';
import { Apart, ATTACKED, HELD_OUT } from './holdout.ts';
import { notesOn } from './notes.ts';
import { drawPairs, type Drawn } from './pairing.ts';
import { balancedSample } from './sample.ts';
import type { PairSettings } from './settings.ts';
import { Embedded, type Similarity, type SimilarityPort } from './similarity.ts';
import {
  LeftOuts,
  placeOf,
  placeText,
  readingOf,
  type Item,
  type SourceRole,
  type Sources,
} from './sources.ts';
import { TfIdf } from './tfidf.ts';
import type { Built, Example, Pair } from './types.ts';
import type { Watch } from './watch.ts';

/** Keeps what is costly and does not depend on threshold, refusals or edits, for a person who tries several. */
export class SimilarityCache {
  #kept: { port: SimilarityPort | null; texts: Texts; similarity: Similarity } | null = null;

  /** What was made before of the very same texts, with the same port; else what `make` makes. */
  async get(port: SimilarityPort | null, texts: Texts, make: () => Promise<Similarity>): Promise<Similarity> {
    const kept = this.#kept;
    const same =
      kept !== null &&
      kept.port === port &&
      sameTexts(kept.texts.instructions, texts.instructions) &&
      sameTexts(kept.texts.answers, texts.answers);
    if (same) return kept.similarity;
    this.#kept = null; // two of them at a time may be too much
    const similarity = await make();
    this.#kept = { port, texts, similarity };
    return similarity;
  }
}

/** What is compared, in order: a similarity speaks of them by their indices. */
interface Texts {
  instructions: readonly string[];
  answers: readonly string[];
}

const sameTexts = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((text, i) => text === b[i]);

export interface BuildOptions {
  /** For the similarities 'hidden' and 'webllm'. */
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
    files.map((file) => ({
      ...readingOf(file),
      role,
      name: file.name,
      sha256: file.sha256,
      rows: file.rows.length,
    })),
  );
  const rng = new Rng(
    `pairs/${given.map((s) => `${s.role}:${s.sha256}:${JSON.stringify(readingOf(s))}`).join()}/${seed}`,
  );
  watch.progress?.('read', 0, 1);
  watch.signal?.throwIfAborted();
  const items = await usable(sources, out, watch);
  required(items.harmful ?? [], 'harmful', sources, out);
  required(items.answers ?? [], 'answers', sources, out);
  const harmful = ofCategories(items.harmful!, settings.categories, out);

  const held = heldOut(rng.fork('held-out'), items.eval, harmful, settings.heldOut);
  const chats = await benignHeldOut(
    rng.fork('benign'),
    items.benign ?? items.answers!,
    held,
    settings.benignHeldOut,
    watch,
  );
  // what either side is asked in evaluation is kept out of all that is trained on
  const apart = new Apart([...held, ...chats.eval]);
  const benignRest = await apart.filter(chats.rest, 'benign', HELD_OUT, out, watch);
  const heldIds = new Set(held.map((item) => item.id));
  const notHeld = harmful.filter((item) => !heldIds.has(item.id));
  const attackable = await apart.filter(items.attack ?? [], 'attack', HELD_OUT, out, watch);
  const attack = attackSet(rng.fork('attack'), attackable, settings.attack, out);
  const attacked = settings.attack.apart ? new Apart(attack) : null;
  let instructions = await apart.filter(notHeld, 'harmful', HELD_OUT, out, watch);
  if (attacked) instructions = await attacked.filter(instructions, 'harmful', ATTACKED, out, watch);
  required(instructions, 'harmful', sources, out);

  const benign = benignSides(benignRest, settings, attack.length);
  const benignHeld = new Set(chats.eval.map((item) => item.key));
  const answers = items.answers!.filter((item) => !benignHeld.has(item.key));
  required(answers, 'answers', sources, out);

  const sample = balancedSample(rng.fork('sample'), instructions, settings.sample);
  const chosen = sample.chosen.map(({ index, category }) => ({ item: instructions[index]!, category }));
  const texts = {
    instructions: chosen.map(({ item }) => said(item)),
    answers: answers.map((item) => item.answer!),
  };
  const comparing = settings.similarity === 'tfidf' ? null : (port ?? null);
  const similarity = await cache.get(comparing, texts, () => measure(settings, texts, port, watch));
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
      instructionFrom: placeOf(item),
      answerFrom: placeOf(answer),
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
      eval: chats.eval,
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
    unpaired: pairing.unpaired.map((i) => placeOf(chosen[i]!.item)),
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
    await measureEdited(pairs, { apart, attacked }, similarity);
    const whole = { ...built, pairs, edits };
    return { ...whole, notes: notesOn(whole, { ...known, unused: unused.length }) };
  };
}

/** All that the user says: what an answer must not be about. */
const said = ({ prompt, before = [] }: Pick<Item, 'prompt' | 'before'>): string =>
  [...before.filter((m) => m.role === 'user').map((m) => m.content), prompt].join('\n');

async function measure(
  { similarity }: PairSettings,
  { instructions, answers }: Texts,
  port: SimilarityPort | undefined,
  watch: Watch,
): Promise<Similarity> {
  if (similarity === 'tfidf') return TfIdf.fit(instructions, answers, watch);
  if (port) return new Embedded(port, instructions, answers);
  throw new LabError(
    'bad-input',
    similarity === 'hidden'
      ? 'Comparing by hidden states needs a loaded model, and there is none.'
      : 'Comparing by embeddings needs an embedding model of WebLLM, in the page, and there is none.',
    {
      safe: 'Nothing was built, and the sets are as they were.',
      next: 'Open a model, or compare by words (TF-IDF).',
    },
  );
}

/**
 * Edited pairs get the similarity of their new texts.
 * @throws LabError 'bad-input' when one that will be trained now asks what is held out, or what the attack is kept apart with
 */
async function measureEdited(
  pairs: readonly Pair[],
  { apart, attacked }: { apart: Apart; attacked: Apart | null },
  similarity: Similarity,
): Promise<void> {
  const edited = pairs.filter((pair) => pair.edited);
  for (const { prompt, before, instructionFrom, excluded } of edited) {
    if (excluded) continue;
    const key = promptKey({ prompt, ...(before && { before }) });
    const held = apart.like(key);
    const like = held ?? attacked?.like(key) ?? null;
    if (like === null) continue;
    const what = held === null ? 'a prompt of the attack' : 'a held-out prompt';
    throw new LabError(
      'bad-input',
      `The edited instruction of ${instructionFrom.source}, ${placeText(instructionFrom)}, is ${like === 'same' ? '' : 'nearly '}${what}.`,
      {
        safe: 'Nothing was built, and the sets are as they were.',
        next: `Word it in another way, or exclude the pair${held === null ? ', or let the attack share instructions with the defence' : ''}.`,
      },
    );
  }
  const found = await similarity.ofTexts(edited.map((pair) => [said(pair), pair.irrelevant]));
  edited.forEach((pair, i) => (pair.similarity = found[i]!));
}
