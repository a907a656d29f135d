/** What judges said, kept in this browser under the digests of the answers: nothing is asked twice of the same judge and prompt. */
import type { JudgeCalibration, RuleBeside } from '../core/llm-judge.ts';
import type { Context } from './context.ts';

/** Expectation over the digits. */
export type KeptScore = number;

const scoresKey = (judge: string, hash: string): string => `llm-scores/${hash}/${judge}`;
const judgesKey = (hash: string): string => `llm-judges/${hash}`;
const RULES = 'llm-rules';
const CALIBRATIONS = 'llm-calibrations';

export class KeptScores {
  #ctx: Context;
  /** Additions follow each other: each reads, adds and writes. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ctx: Context) {
    this.#ctx = ctx;
  }

  scores(judge: string, hash: string): Promise<Record<string, KeptScore>> {
    return this.#read(scoresKey(judge, hash));
  }

  async addScores(judge: string, hash: string, fresh: Readonly<Record<string, KeptScore>>): Promise<void> {
    if (Object.keys(fresh).length === 0) return;
    await this.#add(scoresKey(judge, hash), fresh);
    await this.#add(judgesKey(hash), { [judge]: Date.now() });
  }

  /** What the rules say of an answer, by its digest and by what they were calibrated on. */
  rules(): Promise<Record<string, RuleBeside>> {
    return this.#read(RULES);
  }

  addRules(fresh: Readonly<Record<string, RuleBeside>>): Promise<void> {
    return this.#add(RULES, fresh);
  }

  async calibration(judge: string, hash: string): Promise<JudgeCalibration | null> {
    const all = await this.#read<JudgeCalibration>(CALIBRATIONS);
    return all[scoresKey(judge, hash)] ?? null;
  }

  async setCalibration(found: JudgeCalibration): Promise<void> {
    const { judge, promptHash, createdAt } = found;
    await this.#add(CALIBRATIONS, { [scoresKey(judge, promptHash)]: found });
    await this.#add(judgesKey(promptHash), { [judge]: createdAt });
  }

  /** Those that said anything under this prompt, the last one first. */
  async judges(hash: string): Promise<string[]> {
    const times = await this.#read<number>(judgesKey(hash));
    return Object.keys(times).sort((a, b) => times[b]! - times[a]!);
  }

  async #read<T>(key: string): Promise<Record<string, T>> {
    return ((await this.#ctx.store.setting(key)) as Record<string, T> | undefined) ?? {};
  }

  #add<T>(key: string, fresh: Readonly<Record<string, T>>): Promise<void> {
    const mine = this.#turn.then(async () => {
      if (Object.keys(fresh).length > 0)
        await this.#ctx.store.setSetting(key, { ...(await this.#read<T>(key)), ...fresh });
    });
    this.#turn = mine.catch(() => {});
    return mine;
  }
}
