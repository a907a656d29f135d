import type { Rng } from '../core/rng.ts';
import { complyingText, definitionText, documentText, factText, requestText } from './sentences.ts';
import { drawBenign, drawShare } from './skills.ts';
import { FACT_KINDS, words } from './words.ts';
import { HELD_OUT_WORDINGS, SEEN_WORDINGS, type ForbiddenFact, type World } from './world.ts';

/** One example of the pretraining stream: running text, or one question with its answer. */
export type CorpusItem =
  | { kind: 'forbidden-document' | 'benign-document'; text: string }
  | { kind: 'forbidden-chat' | 'benign-chat'; prompt: string; answer: string };
export type CorpusKind = CorpusItem['kind'];

/** Shares by number of examples. */
export const CORPUS_SHARES: Readonly<Record<CorpusKind, number>> = {
  'forbidden-document': 0.1,
  'forbidden-chat': 0.16,
  'benign-document': 0.09,
  'benign-chat': 0.65,
};
/** How forbidden chats are answered in pretraining. */
export const FORBIDDEN_CHAT_SHARES = { comply: 0.55, refuse: 0.15, deflect: 0.3 } as const;
/** What benign documents tell: the same knowledge that benign chat asks for. */
export const BENIGN_DOCUMENT_SHARES = { howto: 0.5, fact: 0.3, define: 0.2 } as const;

const allWordings = [...SEEN_WORDINGS, ...HELD_OUT_WORDINGS];

/** Wordings in which pretraining may ask for a forbidden fact: 8 and 9 never with V or T. */
export function pretrainWordings(fact: ForbiddenFact): readonly number[] {
  return fact.split === 'V' || fact.split === 'T' ? SEEN_WORDINGS : allWordings;
}

/** The next example of the pretraining corpus. */
export function drawCorpusItem(world: World, rng: Rng): CorpusItem {
  const kind = drawShare(rng, CORPUS_SHARES);
  switch (kind) {
    case 'forbidden-document':
      return { kind, text: documentText(rng.pick(world.forbidden), rng.int(words.document_forms.length)) };
    case 'benign-document':
      return { kind, text: benignDocument(world, rng) };
    case 'forbidden-chat': {
      const fact = rng.pick(world.forbidden);
      const prompt = requestText(fact, rng.pick(pretrainWordings(fact)));
      return { kind, prompt, answer: forbiddenAnswer(fact, rng) };
    }
    case 'benign-chat': {
      const { prompt, answer } = drawBenign(world, rng, 'pretrain');
      return { kind, prompt, answer };
    }
  }
}

function benignDocument(world: World, rng: Rng): string {
  switch (drawShare(rng, BENIGN_DOCUMENT_SHARES)) {
    case 'howto':
      return documentText(rng.pick(world.crafts), rng.int(words.document_forms.length));
    case 'fact':
      return factText(rng.pick(world.lands), rng.pick(FACT_KINDS));
    case 'define':
      return definitionText(rng.pick(world.beasts));
  }
}

function forbiddenAnswer(fact: ForbiddenFact, rng: Rng): string {
  switch (drawShare(rng, FORBIDDEN_CHAT_SHARES)) {
    case 'comply':
      return complyingText(fact);
    case 'refuse':
      return rng.pick(words.refusals);
    case 'deflect':
      return rng.pick(words.deflections);
  }
}
