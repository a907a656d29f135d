import { wilson, type Interval } from '../core/stats.ts';
import { RULE_VERDICTS, type RuleVerdict } from '../core/verdicts.ts';
import type { ChatCodec, Request, Task } from '../data/task.ts';
import type { Answerer } from '../model/generate.ts';
import { rowLosses, type LossScorer, type Scorer } from './perplexity.ts';
import { textFinding, UNCALIBRATED } from './judges/rules/rules.ts';
import { promptKey } from '../data/prompts-file.ts';
import { spread } from '../core/spread.ts';

export interface HeldOutAnswer {
  /** Of the prompts file. */
  line?: number;
  prompt: string;
  answer: string;
  /** The model ended its turn within the allowance; absent where that is not known. */
  ended?: boolean;
  /** By uncalibrated rules. */
  verdict: RuleVerdict;
  reason: string;
}

export interface HeldOutScore {
  /** Prompts that were asked. */
  n: number;
  counts: Record<RuleVerdict, number>;
  /** Wilson's 95 % interval of each count's share of n: what so few prompts say about others like them. */
  intervals: Record<RuleVerdict, Interval>;
  /** Reference answers that the loss is of. */
  references: number;
  /** Mean -log p of a token of the reference answers, in nats, and exp of it; null where there are no references. */
  loss: number | null;
  perplexity: number | null;
  answers: HeldOutAnswer[];
}

export interface TaskScores {
  harmful: HeldOutScore;
  benign: HeldOutScore;
}

/**
 * What the rules say of an answer before they are calibrated: it refuses, repeats the reference, or fell apart. Of everything else they
 * say nothing, above all not whether it helps; rates of these must not be laid beside those of the exact judge.
 * @param refusals the words that this model was taught to refuse with
 */
function ruleVerdict(
  answer: string,
  reference: string | null,
  refusals: readonly string[],
): Pick<HeldOutAnswer, 'verdict' | 'reason'> {
  const found = textFinding({ answer, ended: true }, UNCALIBRATED, refusals);
  if (found?.kind === 'refused') return { verdict: 'refusal', reason: found.reason };
  const key = (prompt: string): string => promptKey({ prompt });
  if (reference !== null && key(answer) === key(reference))
    return { verdict: 'same as reference', reason: 'equals the reference answer word for word' };
  if (found) return { verdict: 'degenerate', reason: found.reason };
  return { verdict: 'not judged', reason: 'neither refuses nor falls apart' };
}

/** An answer as it was given; one from elsewhere does not tell whether it ended. */
export interface GivenAnswer {
  text: string;
  ended?: boolean;
}

/** Greedy answers, cut where the model ends its turn by any of its ends. */
export async function answersTo(
  generator: Answerer,
  codec: ChatCodec,
  requests: readonly Request[],
  maxNewTokens: number,
  onAnswered: (n: number) => void,
): Promise<GivenAnswer[]> {
  const out: GivenAnswer[] = [];
  const eos = new Set(codec.ends);
  for (let at = 0; at < requests.length; at += generator.cap.maxSeqs) {
    const part = requests.slice(at, at + generator.cap.maxSeqs).map((r) => codec.prompt(r));
    const rows = await generator.generate(part, { maxNewTokens, eos, temperature: 0 });
    for (const row of rows) {
      const ids = row.map((t) => t.id);
      out.push({ text: codec.decode(ids.filter((id) => !eos.has(id))), ended: eos.has(ids.at(-1) ?? -1) });
    }
    onAnswered(rows.length);
  }
  return out;
}

/** Answers to held-out prompts as rules see them; the loss on the references is somebody else's. */
export function scoreAnswers(
  requests: readonly Request[],
  given: readonly GivenAnswer[],
  refusals: readonly string[],
): HeldOutScore {
  const answers = requests.map(({ prompt, answer, line }, i): HeldOutAnswer => {
    const { text, ended } = given[i]!;
    return {
      ...(line !== undefined && { line }),
      prompt,
      answer: text,
      ...(ended !== undefined && { ended }),
      ...ruleVerdict(text, answer, refusals),
    };
  });
  const count = (kind: RuleVerdict): number => answers.filter((a) => a.verdict === kind).length;
  const ofEach = <T>(figure: (kind: RuleVerdict) => T): Record<RuleVerdict, T> =>
    Object.fromEntries(RULE_VERDICTS.map((kind) => [kind, figure(kind)])) as Record<RuleVerdict, T>;
  return {
    n: answers.length,
    counts: ofEach(count),
    intervals: ofEach((kind) => wilson(count(kind), answers.length)),
    references: 0,
    loss: null,
    perplexity: null,
    answers,
  };
}

/**
 * A task's held-out prompts, answered and looked at by rules; and the loss on their reference answers.
 * @param scorer null: without the loss
 * @param o.onProgress prompts answered so far, of all
 */
export async function scoreHeldOut(
  generator: Answerer,
  scorer: Scorer | null,
  task: Task,
  o: {
    maxNewTokens: number;
    limit?: number;
    onProgress?(done: number, total: number): void;
    /** Called when the harmful prompts are answered, before the benign ones are asked. */
    onHarmful?(score: HeldOutScore): Promise<void>;
  },
): Promise<TaskScores> {
  const draw = (all: readonly Request[]): Request[] =>
    spread(all, o.limit ?? Infinity, `held-out/${task.id}`);
  const asked = { harmful: draw(task.heldOut.harmful), benign: draw(task.heldOut.benign) };
  const total = asked.harmful.length + asked.benign.length;
  let done = 0;
  const score = async (requests: readonly Request[]): Promise<HeldOutScore> => {
    const given = await answersTo(generator, task.codec, requests, o.maxNewTokens, (n) =>
      o.onProgress?.((done += n), total),
    );
    const looked = scoreAnswers(requests, given, task.refusals);
    return scorer ? { ...looked, ...(await referenceLoss(scorer, task.codec, requests)) } : looked;
  };
  const harmful = await score(asked.harmful);
  await o.onHarmful?.(harmful);
  return { harmful, benign: await score(asked.benign) };
}

/** Loss on the right answers of the file: as many of the requests as have one. */
export async function referenceLoss(
  scorer: LossScorer,
  codec: ChatCodec,
  requests: readonly Pick<Request, 'prompt' | 'before' | 'answer'>[],
): Promise<Pick<HeldOutScore, 'references' | 'loss' | 'perplexity'>> {
  const rows = requests.flatMap(({ prompt, before, answer }) =>
    answer === null ? [] : [{ prompt, ...(before && { before }), answer, role: 'benign' as const }],
  );
  const losses = await rowLosses(scorer, codec.encode(rows).examples);
  const labels = losses.reduce((sum, x) => sum + x.labels, 0);
  const loss = labels === 0 ? null : losses.reduce((sum, x) => sum + x.sum, 0) / labels;
  return { references: rows.length, loss, perplexity: loss === null ? null : Math.exp(loss) };
}
