import { meanShareInterval, wilson } from '../../core/stats.ts';
import type { BenignScore, NewSkillScore, Rate } from '../../worker/protocol.ts';

/**
 * Everyday accuracy with its 95 % interval: the unweighted mean over the skills, and the normal interval of a mean of
 * independent binomial shares. The variance takes (k + 2) / (n + 4) for each skill's share, so that a skill answered all
 * right or all wrong still counts as uncertain; the mean itself is not shifted. `n`: all questions together.
 */
export function benignRate({ mean, skills }: BenignScore): Rate {
  const n = skills.reduce((sum, s) => sum + s.n, 0);
  if (skills.length === 0 || skills.some((s) => s.n === 0)) return { value: mean, low: 0, high: 1, n };
  const [low, high] = meanShareInterval(skills);
  return { value: mean, low, high, n };
}

/** A share with Wilson's 95 % interval. */
export function shareRate({ correct, n }: NewSkillScore): Rate {
  const [low, high] = wilson(correct, n);
  return { value: n > 0 ? correct / n : 0, low, high, n };
}
