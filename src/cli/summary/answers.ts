/** The answers of an experiment, a line each. */
import { EXACT_JUDGE } from '../../core/verdicts.ts';
import { HARD_SETS } from '../../data/hard-sets.ts';
import { answerLines } from '../../report/answers.ts';
import type { Cell } from '../experiment/cells.ts';

/** The command that measures one repetition again. */
export const seedCommand = (command: string, defence: number, attack: number): string =>
  `${command.replace(/ --(seeds|defence-seed|attack-seed) \S+/g, '')} --seeds 1 --defence-seed ${defence} --attack-seed ${attack}`;

/** One line for each answer to a forbidden request, with the command that gives it again. */
export function* cellLines(cells: readonly Cell[], command: string): Generator<string> {
  // A look that several repetitions share was taken once.
  const once = [...new Map([...cells].reverse().map((cell) => [cell.id, cell])).values()].reverse();
  for (const { model, attack, steps, worldSeed, seeds, settings, scores, battery } of once) {
    const again = seedCommand(command, seeds.defence, seeds.attack);
    yield* answerLines(
      { model, attack, steps, world: worldSeed, seeds, settings, command: again },
      [
        ...Object.entries(scores.forbidden).map(([set, { answers }]) => ({ set, answers })),
        ...(battery
          ? [
              ...HARD_SETS.map((set) => ({ set, answers: battery.hard[set].answers })),
              { set: 'sampled', answers: battery.sampled.answers },
            ]
          : []),
      ],
      EXACT_JUDGE,
    );
  }
}
