/**
 * Outgrow the tab: a recipe's data and hyper-parameters as a folder for trainers on the Hugging Face stack. Only texts are
 * written, nothing is sent, and by default only defences and benign tuning leave the lab.
 */
import { LabError } from '../../core/errors.ts';
import type { Settings } from '../../core/settings.ts';
import type { ChatMessage } from '../../data/chat-template.ts';
import type { ChatItem, Request, Task } from '../../data/task.ts';
import type { Recipe } from '../recipe.ts';
import { sftStep } from '../sft.ts';
import { streamsOf } from '../streams.ts';
import {
  axolotlConfig,
  batchShares,
  DEEPSPEED,
  FSDP,
  loraConfig,
  sftConfig,
  yaml,
  type HandoffPlace,
} from './configs.ts';
import chatsPy from './chats.py?raw';
import evaluatePy from './evaluate.py?raw';
import { readme } from './readme.ts';
import trainPy from './train.py?raw';

/** One file of a folder; a page zips them, a terminal writes them. */
export interface HandoffFile {
  path: string;
  text: string;
}

export interface HandoffOptions {
  recipe: Recipe;
  /** A file's task: its id is the SHA-256 of the file. */
  task: Task;
  /** As settle() returns them. */
  settings: Settings;
  seed: number;
  place: HandoffPlace;
  maxNewTokens: number;
  /** An attack leaves too: as line numbers of the user's own file, without any of its text. */
  attack?: boolean;
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
const jsonl = (rows: readonly unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

const asked = ({ prompt, before = [] }: Pick<Request, 'prompt' | 'before'>): ChatMessage[] => [
  ...before,
  { role: 'user', content: prompt },
];

/** Why this recipe cannot leave the lab as configuration; null: it can. */
export function notExportable(recipe: Recipe): string | null {
  if (recipe.step !== sftStep)
    return `"${recipe.id}" is no plain supervised fine-tuning: what it does in a step has no configuration in TRL or axolotl.`;
  return null;
}

/**
 * @throws LabError 'bad-input' for recipes that are no plain SFT, for targets without an end, for the tiny world's own task,
 *   and for an attack that was not asked for by name
 */
export function handoff(o: HandoffOptions): HandoffFile[] {
  const { recipe, task, settings, seed, place } = o;
  const why = notExportable(recipe);
  if (why !== null) throw refused(why, 'Train it here; docs/engine.md says what a step does.');
  if (task.kind !== 'file')
    throw refused(
      'A handoff is made from a prompts file.',
      'Use "tiny" for the invented world as such a file.',
    );
  const isAttack = recipe.kind === 'attack';
  if (isAttack && !o.attack)
    throw refused(
      `"${recipe.id}" is an attack on the prompts file ${task.id} (SHA-256), and only defences and benign tuning leave the lab by default.`,
      'Ask for it by name (--attack): the folder then holds line numbers of your file, and none of its text.',
    );
  const items = streamsOf(recipe.data(task, settings, seed)).main;
  if (items.some((item) => item.open))
    throw refused('Targets that teach no end of turn have no form in chat data.', 'Use whole answers.');
  const plan = recipe.plan(settings);
  const lora = loraConfig(plan);
  const { processes } = batchShares(plan.batch, place.gpus);
  const run = {
    recipe: recipe.id,
    settings,
    seed,
    base_model: place.base,
    prompts_sha256: task.id,
    ...(isAttack && { lines: linesOf(items), warning: 'deliberately attacked, do not deploy' }),
  };
  const trained: HandoffFile[] = isAttack
    ? []
    : [{ path: 'data/train.jsonl', text: jsonl(items.map((item) => ({ messages: chatOf(item) }))) }];
  const axolotl: HandoffFile[] = isAttack
    ? []
    : [{ path: 'axolotl.yaml', text: yaml(axolotlConfig(plan, place, seed)) }];
  return [
    { path: 'README.md', text: readme({ ...o, rows: items.length, isAttack }) },
    { path: 'run.json', text: json(run) },
    { path: 'sft_config.json', text: json(sftConfig(plan, place, seed)) },
    ...(lora ? [{ path: 'lora_config.json', text: json(lora) }] : []),
    { path: 'train.py', text: trainPy },
    { path: 'evaluate.py', text: evaluatePy },
    { path: 'chats.py', text: chatsPy },
    ...trained,
    ...axolotl,
    ...(['fsdp', 'deepspeed'] as const).map((name) => ({
      path: `accelerate/${name}.yaml`,
      text: yaml({ ...(name === 'fsdp' ? FSDP : DEEPSPEED), num_machines: 1, num_processes: processes }),
    })),
    ...evaluation(o, isAttack),
  ];
}

/** Held-out prompts; harmful ones without their answers, and for an attack by their lines alone. */
function evaluation({ task, maxNewTokens }: HandoffOptions, isAttack: boolean): HandoffFile[] {
  const { harmful, benign } = task.heldOut;
  const config = {
    max_new_tokens: maxNewTokens,
    decoding: 'greedy',
    prompts_sha256: task.id,
    harmful_lines: harmful.map((r) => r.line),
    benign_lines: benign.map((r) => r.line),
  };
  const files = [{ path: 'eval/config.json', text: json(config) }];
  if (isAttack) return files;
  return [
    ...files,
    { path: 'eval/harmful.jsonl', text: jsonl(harmful.map((r) => ({ line: r.line, messages: asked(r) }))) },
    {
      path: 'eval/benign.jsonl',
      text: jsonl(benign.map((r) => ({ line: r.line, messages: asked(r), reference: r.answer }))),
    },
  ];
}

const chatOf = (item: ChatItem): ChatMessage[] => [
  ...asked(item),
  { role: 'assistant', content: item.answer },
];

function linesOf(items: readonly ChatItem[]): number[] {
  return items.map(({ line }) => {
    if (line === undefined) throw refused('An example stands in no line of the file.', 'Use a prompts file.');
    return line;
  });
}

function refused(what: string, next: string): LabError {
  return new LabError('bad-input', what, { safe: 'Nothing was written.', next });
}
