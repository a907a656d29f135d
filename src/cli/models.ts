import { parseArgs } from 'node:util';
import { existsSync } from 'node:fs';
import { LabError } from '../core/errors.ts';
import { PRECISIONS, type Precision } from '../core/types.ts';
import { worldPrompts } from '../data/world-prompts.ts';
import { LORA_TARGETS } from '../model/lora.ts';
import { choiceLines, chooseModel } from './models-choice.ts';
import { convertModel } from './models-convert.ts';
import { nodeFolder } from './models-files.ts';
import { writeHandoff } from './models-handoff.ts';
import { inspectModel, reportLines } from './models-inspect.ts';
import { makeModel, SHAPES } from './models-make.ts';
import { measureLogits, measureStep, type StepFigures } from './models-measure.ts';
import { openModel } from './models-open.ts';
import { DESKTOP, planLines, planned, planReport } from './models-plan.ts';
import { ask, loadModel, type LoadFigures } from './models-run.ts';
import { openNodeGpu } from './node-gpu.ts';
import { createWorld } from '../world/world.ts';
import { writeAtomic } from './checkpoint-file.ts';

interface Command {
  /** Folders or files that it takes. */
  places: 1 | 2;
  usage: string;
  about: string;
}

const COMMANDS: Record<string, Command> = {
  inspect: {
    places: 1,
    usage: 'inspect DIR [--json]',
    about:
      'reads headers only, and says what the model is and every reason why it cannot be used; exit code 1 if there is one',
  },
  generate: {
    places: 1,
    usage:
      'generate DIR --prompt TEXT [--max-tokens N] [--temperature T] [--seed S] [--raw] [--precision f32|f16|bf16]',
    about: 'answers; --temperature 0 (default) is greedy, --raw continues the prompt without a chat template',
  },
  choice: {
    places: 2,
    usage: 'choice DIR FILE [--shots 0] [--most 200] [--seed S] [--precision f32|f16|bf16] [--json]',
    about: `general ability by multiple choice on a file in the layout of MMLU or OpenBookQA: by the likeliest letter, by the likeliest
text per token and by what the model writes, beside chance; --shots: examples before each question, --most: questions asked`,
  },
  load: {
    places: 1,
    usage: 'load DIR [--precision f32|f16|bf16] [--step [--checkpointing]] [--check] [--json]',
    about: `puts the weights onto the GPU and says how long it took and how much memory; --step trains an adapter for two steps of
128 tokens, --check compares the logits on 8 tokens with the float64 reference (8 bytes a parameter in memory)`,
  },
  plan: {
    places: 1,
    usage: `plan DIR|--shape NAME [--method lora|full|none] [--rank 8] [--targets q_proj,v_proj] [--context 512] [--batch 1]
     [--answers 1] [--precision f32|f16|bf16] [--checkpointing] [--budget GB] [--here] [--json]`,
    about: `what a run takes on the GPU, by part, and what would make it fit; exit code 1 if it does not. --here: this machine's
limits instead of a usual desktop GPU's`,
  },
  convert: {
    places: 2,
    usage:
      'convert DIR OUT --to hf|mlc|peft [--adapter DIR]... [--dtype f32|f16|bf16] [--lib FILE.wasm] [--confirm NAME]',
    about: `writes the model anew, adapters folded in (hf, mlc), or the adapters as one (peft). DIR may be an unquantised MLC bundle.
mlc: for WebLLM; --lib: a model library that must take the weights. --confirm: the name of what an attack made, which is not
written without it`,
  },
  handoff: {
    places: 2,
    usage:
      'handoff DIR OUT --recipe ID --prompts FILE|tiny [--base NAME] [--gpus N] [--method lora|full] [--attack]',
    about: "writes a folder for TRL, PEFT and axolotl: a recipe's data and settings, to train elsewhere",
  },
  prompts: {
    places: 1,
    usage: 'prompts FILE [--seed WORLD]',
    about: 'writes the invented world as a prompts file',
  },
  make: {
    places: 1,
    usage: `make DIR --shape ${Object.keys(SHAPES).join('|')} [--seed S] [--tokenizer DIR]`,
    about: "writes noise in a published model's exact shape, to measure with",
  },
};

const isCommand = (name: string | undefined): name is string =>
  name !== undefined && Object.hasOwn(COMMANDS, name);

const DIR =
  "DIR is a model in Hugging Face's layout (config.json, model.safetensors or its shards, tokenizer.json) or an unquantised MLC bundle.";

const OPTIONS = {
  json: { type: 'boolean' },
  raw: { type: 'boolean' },
  prompt: { type: 'string' },
  'max-tokens': { type: 'string', default: '128' },
  temperature: { type: 'string', default: '0' },
  seed: { type: 'string', default: '0' },
  shape: { type: 'string' },
  precision: { type: 'string' },
  step: { type: 'boolean' },
  check: { type: 'boolean' },
  checkpointing: { type: 'boolean' },
  method: { type: 'string', default: 'lora' },
  rank: { type: 'string', default: '8' },
  targets: { type: 'string' },
  context: { type: 'string', default: '512' },
  batch: { type: 'string', default: '1' },
  answers: { type: 'string', default: '1' },
  budget: { type: 'string' },
  here: { type: 'boolean' },
  tokenizer: { type: 'string' },
  to: { type: 'string' },
  adapter: { type: 'string', multiple: true },
  dtype: { type: 'string', default: 'f32' },
  recipe: { type: 'string' },
  prompts: { type: 'string' },
  base: { type: 'string', default: 'meta-llama/Llama-2-7b-chat-hf' },
  gpus: { type: 'string', default: '4' },
  attack: { type: 'boolean', default: false },
  confirm: { type: 'string' },
  lib: { type: 'string' },
  shots: { type: 'string', default: '0' },
  most: { type: 'string', default: '200' },
} as const;

/** Bad input of one command; `main` adds how that is called. */
class Wrong extends Error {}

/** @throws LabError: says of a word that it is no command before anything else is asked of the rest */
function checked(command: string | undefined): Command {
  if (command === undefined) throw new LabError('bad-input', 'Which command?', { next: overview() });
  if (isCommand(command)) return COMMANDS[command]!;
  throw new LabError('bad-input', `There is no command "${command}".`, {
    next: `The commands are ${Object.keys(COMMANDS).join(', ')}; without one, "npm run models" says what each does.`,
  });
}

const overview = (): string =>
  [
    ...Object.values(COMMANDS).map(
      ({ usage: how, about }) => `npm run models -- ${how}\n    ${about.replaceAll('\n', '\n    ')}`,
    ),
    DIR,
  ].join('\n');

function number(name: string, text: string, min: number, whole: boolean): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < min || (whole && !Number.isSafeInteger(value)))
    throw new Wrong(`--${name} is "${text}", and it must be a ${whole ? 'whole ' : ''}number from ${min}.`);
  return value;
}

/** One of several words. */
function word<T extends string>(name: string, text: string, words: readonly T[]): T {
  const found = words.find((w) => w === text);
  if (found === undefined)
    throw new Wrong(`--${name} is "${text}", and it must be one of ${words.join(', ')}.`);
  return found;
}

function parse(argv: string[]) {
  try {
    return parseArgs({ args: argv, options: OPTIONS, allowPositionals: true });
  } catch (cause) {
    throw new Wrong(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** @returns exit code; bad input is thrown as LabError, which makes it 1 */
export async function main(argv: string[]): Promise<number> {
  const command = argv.find((arg) => isCommand(arg)) ?? argv.find((arg) => !arg.startsWith('-'));
  const { usage, about } = checked(command);
  if (argv.includes('--help')) {
    console.log(`npm run models -- ${usage}\n\n${about}\n${DIR}`);
    return 0;
  }
  try {
    return await run(argv);
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    const next = `npm run models -- ${usage}\n${about}\n${DIR}`;
    throw new LabError('bad-input', error.message, { next, cause: error.cause });
  }
}

async function run(argv: string[]): Promise<number> {
  const { values: o, positionals } = parse(argv);
  const [command, dir, ...rest] = positionals;
  const { places } = checked(command);
  if (command === 'plan' && dir === undefined && o.shape !== undefined) return printPlan(undefined, o);
  if (dir === undefined || rest.length !== places - 1)
    throw new Wrong(
      `"${command}" takes ${places === 2 ? 'two folders' : command === 'prompts' ? 'one file' : 'one folder'}.`,
    );
  const seed = number('seed', o.seed, 0, true);
  const precision = (): { precision?: Precision } =>
    o.precision === undefined ? {} : { precision: word('precision', o.precision, PRECISIONS) };
  switch (command) {
    case 'inspect': {
      const report = await inspectModel(await nodeFolder(dir));
      console.log(o.json ? JSON.stringify(report, null, 2) : reportLines(report).join('\n'));
      return report.unsupported.length > 0 ? 1 : 0;
    }
    case 'generate': {
      if (o.prompt === undefined) throw new Wrong('generate needs --prompt TEXT.');
      await ask(openNodeGpu, await nodeFolder(dir), {
        prompt: o.prompt,
        maxTokens: number('max-tokens', o['max-tokens'], 1, true),
        temperature: number('temperature', o.temperature, 0, false),
        seed,
        raw: o.raw === true,
        ...precision(),
        onText: (text) => process.stdout.write(text),
        onNote: (note) => console.error(note),
      });
      process.stdout.write('\n');
      return 0;
    }
    case 'choice': {
      const result = await chooseModel(dir, rest[0]!, {
        shots: number('shots', o.shots, 0, true),
        most: number('most', o.most, 1, true),
        seed,
        ...precision(),
      });
      console.log(o.json ? JSON.stringify(result, null, 2) : choiceLines(result).join('\n'));
      return 0;
    }
    case 'load': {
      const opened = await openModel(await nodeFolder(dir));
      const { model, figures } = await loadModel(await openNodeGpu(), opened, precision());
      const step = o.step ? await measureStep(model, o.checkpointing === true) : undefined;
      const logitsError = o.check ? await measureLogits(model, opened) : undefined;
      model.destroy();
      const all = { ...figures, ...(step && { step }), ...(o.check && { logitsError }) };
      console.log(o.json ? JSON.stringify(all, null, 2) : loadLines(figures, step, logitsError).join('\n'));
      return 0;
    }
    case 'convert': {
      const { to, dtype } = o;
      if (to === undefined) throw new Wrong('convert needs --to hf|mlc|peft.');
      if (o.lib !== undefined && to !== 'mlc') throw new Wrong('--lib is of --to mlc alone.');
      const written = await convertModel(dir, rest[0]!, {
        to,
        adapters: o.adapter ?? [],
        dtype: ({ f32: 'F32', f16: 'F16', bf16: 'BF16' } as const)[word('dtype', dtype, PRECISIONS)],
        confirm: o.confirm,
        lib: o.lib,
        onNote: (note) => console.error(note),
      });
      console.log(written.join('\n'));
      return 0;
    }
    case 'handoff': {
      if (o.recipe === undefined || o.prompts === undefined)
        throw new Wrong('handoff needs --recipe ID and --prompts FILE|tiny.');
      const written = await writeHandoff(dir, rest[0]!, {
        recipe: o.recipe,
        prompts: o.prompts,
        base: o.base,
        gpus: number('gpus', o.gpus, 1, true),
        method: o.method,
        seed,
        maxNewTokens: number('max-tokens', o['max-tokens'], 1, true),
        attack: o.attack,
      });
      console.log(written.join('\n'));
      return 0;
    }
    case 'prompts':
      if (existsSync(dir)) throw exists(dir);
      writeAtomic(dir, worldPrompts(createWorld(seed)));
      console.log(dir);
      return 0;
    case 'plan':
      return printPlan(dir, o);
    case 'make':
      if (o.shape === undefined) throw new Wrong('make needs --shape.');
      await makeModel(dir, o.shape, seed, o.tokenizer);
      console.log(dir);
      return 0;
    default:
      throw new Error(`the command ${command} is listed and does nothing`);
  }
}

const exists = (path: string): LabError =>
  new LabError('bad-input', `${path} is there already.`, {
    safe: 'Nothing was written.',
    next: 'Name a new file, or move that one away.',
  });

const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

function loadLines(figures: LoadFigures, step?: StepFigures, logitsError?: number): string[] {
  const lines = [
    `${mib(figures.bytes)} in ${figures.seconds.toFixed(2)} s; ${mib(figures.gpuBytes)} on the GPU, matrices in ${figures.precision}; ` +
      `heap and buffers of Node grew by ${mib(figures.peakGrowthBytes)} at most`,
  ];
  if (step)
    lines.push(
      `LoRA step: ${step.seconds.map((s) => s.toFixed(1)).join(' and ')} s, loss ${step.losses.map((l) => l.toFixed(4)).join(' and ')}; ` +
        `at most ${mib(step.peakGpuBytes)} on the GPU, ${mib(step.plannedBytes)} planned`,
    );
  if (logitsError !== undefined)
    lines.push(
      `logits on 8 tokens: ${logitsError.toExponential(1)} from the float64 reference (relative L2)`,
    );
  return lines;
}

async function printPlan(dir: string | undefined, o: ReturnType<typeof parse>['values']): Promise<number> {
  if (dir !== undefined && o.shape !== undefined)
    throw new Wrong('plan takes a folder or --shape, not both.');
  const whole = (name: 'rank' | 'context' | 'batch' | 'answers', least = 1): number =>
    number(name, o[name], least, true);
  const report = planReport(await planned(dir, o.shape), {
    method: word('method', o.method, ['lora', 'full', 'none']),
    rank: whole('rank'),
    targets: o.targets?.split(',').map((t) => word('targets', t, LORA_TARGETS)) ?? LORA_TARGETS,
    context: whole('context'),
    batch: whole('batch'),
    answers: whole('answers', 0),
    ...(o.precision !== undefined && { precision: word('precision', o.precision, PRECISIONS) }),
    checkpoint: o.checkpointing === true,
    budget: o.budget === undefined ? Infinity : number('budget', o.budget, 0, false) * 1e9,
    limits: o.here ? (await openNodeGpu()).info.limits : DESKTOP,
  });
  console.log(o.json ? JSON.stringify(report, null, 2) : planLines(report).join('\n'));
  return report.problems.length > 0 ? 1 : 0;
}
