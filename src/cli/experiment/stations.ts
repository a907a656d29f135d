/** After how many steps one looks, and the runs of the grid. */
import { GRID, MODELS, type AttackSpec, type ModelSpec } from './matrix.ts';

export const gridModels = (): ModelSpec[] =>
  MODELS.filter((m) => (GRID.models as readonly string[]).includes(m.id));

/**
 * Steps after which a preset looks, for those that the attack's definition names; each once, as a preset that shortens
 * the runs lets neighbours fall together.
 */
export function stationsOf(attack: AttackSpec, divide: number): number[] {
  return [...new Set(attack.at.map((n) => (n === 0 ? 0 : Math.max(1, Math.round(n / divide)))))];
}

/** The grid's attacks: one run per learning rate, looked at after each number of steps. */
export function gridAttacks(): AttackSpec[] {
  return GRID.lrs.map((lr) => ({ id: `mft-lr${lr}`, recipe: 'mft', settings: { lr }, at: GRID.steps }));
}
