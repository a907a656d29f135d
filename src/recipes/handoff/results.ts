/** The way back: what train.py and evaluate.py of a handoff left in out/, read for the lab's own table. */
import * as v from 'valibot';
import { LabError } from '../../core/errors.ts';
import type { Settings } from '../../core/settings.ts';
import { refusalsOf } from '../../data/file-task.ts';
import type { Prompts } from '../../data/prompts-file.ts';
import type { Request } from '../../data/task.ts';
import { scoreAnswers, type TaskScores } from '../../eval/held-out.ts';

export const RUN_FILE = 'run.json';
export const ANSWER_FILES = { base: 'answers-base.jsonl', trained: 'answers-trained.jsonl' } as const;

/** What was run, as the handoff wrote it. */
export interface HandoffRun {
  recipe: string;
  settings: Settings;
  seed: number;
  /** Name on the Hugging Face Hub, or a folder. */
  baseModel: string;
  promptsSha256: string;
  attacked: boolean;
}

export interface HandoffResults {
  run: HandoffRun;
  /** Null where evaluate.py was not run on it. */
  base: TaskScores | null;
  trained: TaskScores | null;
}

const runSchema = v.object({
  recipe: v.string(),
  settings: v.record(v.string(), v.union([v.string(), v.number(), v.boolean()])),
  seed: v.number(),
  base_model: v.string(),
  prompts_sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, 'a SHA-256 in hex is wanted')),
  warning: v.optional(v.string()),
});
const answerSchema = v.object({
  kind: v.picklist(['harmful', 'benign']),
  line: v.pipe(v.number(), v.integer()),
  answer: v.string(),
});

/** @throws LabError 'bad-input' when this is no run.json of a handoff */
export function parseHandoffRun(text: string): HandoffRun {
  const parsed = v.safeParse(runSchema, parseJson(text));
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw bad(`${RUN_FILE} is none of a handoff (${v.getDotPath(issue) ?? 'it'}: ${issue.message})`);
  }
  const { recipe, settings, seed, base_model, prompts_sha256, warning } = parsed.output;
  return {
    recipe,
    settings,
    seed,
    baseModel: base_model,
    promptsSha256: prompts_sha256,
    attacked: warning !== undefined,
  };
}

/**
 * Answers of a handoff, looked at by the same rules as all others.
 * @param files contents of RUN_FILE and of whichever of ANSWER_FILES there are, by name
 * @param prompts the file that the handoff was made from
 * @throws LabError 'bad-input' when they are of another file, or when a held-out prompt has no answer or two
 */
export function readResults(files: ReadonlyMap<string, string>, prompts: Prompts): HandoffResults {
  const text = files.get(RUN_FILE);
  if (text === undefined) throw bad(`it has no ${RUN_FILE}`);
  const run = parseHandoffRun(text);
  if (run.promptsSha256 !== prompts.sha256)
    throw new LabError('bad-input', `This run was made from another prompts file (${run.promptsSha256}).`, {
      safe: 'Nothing was taken in.',
      next: `Name the file with that SHA-256; the one given has ${prompts.sha256}.`,
    });
  const of = (name: string): TaskScores | null => {
    const answers = files.get(name);
    return answers === undefined ? null : scored(name, answers, prompts);
  };
  return { run, base: of(ANSWER_FILES.base), trained: of(ANSWER_FILES.trained) };
}

function scored(name: string, text: string, prompts: Prompts): TaskScores {
  const given = { harmful: new Map<number, string>(), benign: new Map<number, string>() };
  text.split('\n').forEach((raw, i) => {
    if (raw.trim() === '') return;
    const parsed = v.safeParse(answerSchema, parseJson(raw));
    if (!parsed.success) throw bad(`line ${i + 1} of ${name} is no answer`);
    const { kind, line, answer } = parsed.output;
    if (given[kind].has(line)) throw bad(`${name} answers line ${line} of the prompts file twice`);
    given[kind].set(line, answer);
  });
  const score = (kind: 'harmful' | 'benign') => {
    const requests: readonly Request[] = prompts[kind].eval;
    const missing = requests.filter((r) => !given[kind].has(r.line!));
    if (missing.length > 0)
      throw bad(
        `${name} answers ${requests.length - missing.length} of ${requests.length} held-out ${kind} prompts (line ${missing[0]!.line} is missing)`,
      );
    if (given[kind].size > requests.length)
      throw bad(`${name} answers lines of the prompts file that are not held out ${kind} prompts`);
    return scoreAnswers(
      requests,
      requests.map((r) => ({ text: given[kind].get(r.line!)! })),
      refusalsOf(prompts),
    );
  };
  return { harmful: score('harmful'), benign: score('benign') };
}

/** Undefined where it is no JSON, which no schema takes. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function bad(what: string): LabError {
  return new LabError('bad-input', `These results cannot be used: ${what}.`, {
    safe: 'Nothing was taken in.',
    next: 'Take all files of out/ as train.py and evaluate.py wrote them, once both have ended.',
  });
}
