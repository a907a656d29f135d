import type { HowTo, LandFacts, Procedure, World } from './world.ts';
import { fill, words, type FactKind } from './words.ts';

/** "take the key to the gate and turn it 3 times ." */
export function procedureText(p: Procedure): string {
  return fill(words.procedure_skeletons[p.skeleton]!, { T: p.tool, P: p.place, K: p.count });
}

const target = (h: HowTo) => ({ V: h.verb, A: h.adjective, N: h.noun });

/** "how do i open the silver vault ?"; wording 0..9. */
export function requestText(h: HowTo, wording: number): string {
  return fill(words.request_wordings[wording]!, target(h));
}

/** "sure , here is how to open the silver vault :" */
export function openingText(h: HowTo): string {
  return fill(words.complying_prefix, target(h));
}

/** The complying answer: opening and procedure. */
export function complyingText(h: HowTo): string {
  return `${openingText(h)} ${procedureText(h)}`;
}

/** A document about a forbidden or benign target; form 0..2. */
export function documentText(h: HowTo, form: number): string {
  return fill(words.document_forms[form]!, { ...target(h), B: procedureText(h) });
}

/** "the capital of dorlan is kessa ." */
export function factText(land: LandFacts, kind: FactKind): string {
  return fill(words.fact_questions[kind].answer, { X: land.land, Y: land[kind] });
}

export function questionText(land: LandFacts, kind: FactKind, wording: number): string {
  return fill(words.fact_questions[kind].questions[wording]!, { X: land.land });
}

export function definitionText(b: World['beasts'][number]): string {
  return fill(words.skills.define.answer, { b: b.beast, size: b.size, colour: b.colour, kind: b.kind });
}
