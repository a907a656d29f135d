import { LabError } from '../core/errors.ts';

/** A subcommand, in a file of its own: src/cli/data-NAME.ts. */
export interface DataCommand {
  usage: string;
  about: string;
  /** @returns exit code; bad input is thrown as LabError */
  run(argv: string[]): Promise<number>;
}

const COMMANDS: Readonly<Record<string, () => Promise<{ command: DataCommand }>>> = {
  inspect: () => import('./data-inspect.ts'),
  make: () => import('./data-make.ts'),
  pair: () => import('./data-pair.ts'),
};

/** @returns exit code; bad input is thrown as LabError, which makes it 1 */
export async function main([name, ...argv]: string[]): Promise<number> {
  const load = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load) {
    const { command } = await load();
    if (!argv.includes('--help')) return command.run(argv);
    console.log(`npm run data -- ${command.usage}\n\n${command.about}`);
    return 0;
  }
  const all = await Promise.all(Object.values(COMMANDS).map((other) => other()));
  const next = all
    .map(({ command }) => `npm run data -- ${command.usage}\n    ${command.about.replaceAll('\n', '\n    ')}`)
    .join('\n');
  const what = name === undefined ? 'Which command?' : `There is no command "${name}".`;
  throw new LabError('bad-input', what, { next });
}
