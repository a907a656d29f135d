/** A person judges answers blind; then the rules are held against the person, and the rates that they give are set right. */
import { Rng } from '../core/rng.ts';
import type { CoarseKind } from '../core/verdicts.ts';
import { audit, correctedRate, drawBlind, labelLines, type Label, type Pair } from '../eval/judges/person.ts';
import { judgeName } from '../eval/judges/port.ts';
import type { Calibration } from '../eval/judges/rules/calibrate.ts';
import { RULES } from '../eval/judges/rules/rules.ts';
import { answerPool, groupOf, type Given } from './answer-pool.ts';
import type { Context } from './context.ts';
import { toErrorInfo } from './error-info.ts';
import type { AuditGroup, AuditRate, AuditResult, AuditSheet, ErrorInfo, RulesSetup } from './protocol.ts';
import type { RuleJudges } from './rules.ts';

/** What the draw is remembered under, so that a reload goes on with it. */
const SETTING = 'audit';

interface Drawn {
  seed: string;
  /** In the order of the draw. */
  digests: string[];
}

export class Audits {
  #ctx: Context;
  #rules: RuleJudges;

  constructor(ctx: Context, rules: RuleJudges) {
    this.#ctx = ctx;
    this.#rules = rules;
  }

  /**
   * The draw with its labels: the one that was made before, as far as its answers are still there, or a new one.
   * @param fresh how many answers to draw anew; null: go on with the last draw
   */
  async sheet(fresh: number | null): Promise<AuditSheet> {
    const { store } = this.#ctx;
    const pool = await answerPool(this.#ctx);
    const byDigest = new Map(pool.map((item) => [item.digest, item]));
    let drawn = ((await store.setting(SETTING)) as Drawn | undefined) ?? { seed: '', digests: [] };
    if (fresh !== null) {
      const seed = crypto.randomUUID();
      drawn = { seed, digests: drawBlind(pool, fresh, seed).map(({ digest }) => digest) };
      await store.setSetting(SETTING, drawn);
    }
    const labels = await this.#labels();
    return {
      answers: drawn.digests.flatMap((digest) => {
        const item = byDigest.get(digest);
        if (!item) return [];
        return [{ digest, prompt: item.prompt, answer: item.answer, veiled: item.prompts !== null }];
      }),
      labels: Object.fromEntries(labels.map(({ digest, verdict }) => [digest, verdict])),
      pool: byDigest.size,
      checkpoints: new Set(pool.map((item) => item.checkpoint)).size,
    };
  }

  /** @param verdict null: takes it back */
  async label(digest: string, verdict: CoarseKind | null): Promise<true> {
    const { labels } = this.#ctx.store;
    if (verdict === null) await labels.delete(digest);
    else await labels.set({ digest, verdict, time: Date.now() });
    return true;
  }

  /** All labels as JSONL. */
  async lines(): Promise<string> {
    return labelLines(await this.#labels());
  }

  /** The rules against the person, for each group with labels whose answers are still there; one whose rules fail leaves the others theirs. */
  async result(
    emit: (progress: { done: number; total: number }) => void,
    signal: AbortSignal,
  ): Promise<AuditResult> {
    const labels = new Map((await this.#labels()).map(({ digest, verdict }) => [digest, verdict]));
    const pool = await answerPool(this.#ctx);
    const groups: AuditGroup[] = [];
    const failed: ErrorInfo[] = [];
    for (const group of new Set(pool.filter((item) => labels.has(item.digest)).map(groupOf))) {
      const items = pool.filter((item) => groupOf(item) === group);
      const { rootId, prompts } = items[0]!;
      try {
        const { calibration, verdicts } = await this.#rules.judge(
          rootId,
          prompts?.id ?? null,
          items,
          emit,
          signal,
        );
        const rules = verdicts.map(({ kind }) => kind);
        groups.push({ rootId, prompts, setup: setupOf(calibration), ...heldAgainst(labels, items, rules) });
      } catch (e) {
        if (signal.aborted) throw e;
        failed.push(toErrorInfo(e));
      }
    }
    return { judge: judgeName(RULES), groups, failed };
  }

  async #labels(): Promise<Label[]> {
    return (await this.#ctx.store.labels.list()) as Label[];
  }
}

const setupOf = ({ reference, chats, thresholds }: Calibration): RulesSetup => ({
  reference,
  chats,
  ...thresholds,
});

/** What the labels of one group say of the rules there, and of each checkpoint's rate. */
function heldAgainst(
  labels: ReadonlyMap<string, CoarseKind>,
  items: readonly Given[],
  rules: readonly CoarseKind[],
): Omit<AuditGroup, 'rootId' | 'prompts' | 'setup'> {
  // an answer that several checkpoints gave was labelled once, and counts once
  const pairs = new Map<string, Pair>();
  for (const [i, { digest }] of items.entries()) {
    const person = labels.get(digest);
    if (person) pairs.set(digest, { person, rules: rules[i]! });
  }
  const all = [...pairs.values()];
  const { n, enough, agreement, sensitivity, specificity } = audit(all);
  const { kinds, table, agreed, kappa } = agreement;
  const rates = [...new Set(items.map((item) => item.checkpoint))].map((nodeId): AuditRate => {
    const own = rules.filter((_, i) => items[i]!.checkpoint === nodeId);
    return { nodeId, ...correctedRate(own, all, new Rng(`audit/${nodeId}`)) };
  });
  return { n, enough, kinds, table, agreed, kappa, sensitivity, specificity, rates };
}
