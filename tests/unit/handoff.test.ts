import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { returnedCells } from '../../src/cli/experiment/returned.ts';
import type { ChatCodec } from '../../src/data/task.ts';
import { fileTask } from '../../src/data/file-task.ts';
import { promptKey, readPrompts, type Prompts } from '../../src/data/prompts-file.ts';
import { worldPrompts } from '../../src/data/world-prompts.ts';
import { batchShares } from '../../src/recipes/handoff/configs.ts';
import { handoff, notExportable, type HandoffFile } from '../../src/recipes/handoff/index.ts';
import { ANSWER_FILES, parseHandoffRun, readResults, RUN_FILE } from '../../src/recipes/handoff/results.ts';
import { recipe, RECIPES } from '../../src/recipes/index.ts';
import { settle } from '../../src/recipes/recipe.ts';
import { streamsOf } from '../../src/recipes/streams.ts';
import { createWorld } from '../../src/world/world.ts';

/** Texts leave as they are: a handoff that encodes something has gone astray. */
const noCodec = new Proxy({} as ChatCodec, {
  get: (_, name) => {
    throw new Error(`a handoff asked the codec for ${String(name)}`);
  },
});
const text = worldPrompts(createWorld(0));
const prompts: Prompts = await readPrompts(new TextEncoder().encode(text));
const task = fileTask(prompts, noCodec);
const place = { base: 'meta-llama/Llama-2-7b-chat-hf', gpus: 4, maxLength: 512 };

function made(
  id: string,
  own = {},
  { gpus = place.gpus, ...o }: { attack?: boolean; gpus?: number } = {},
): Map<string, string> {
  const settings = settle(recipe(id), { method: 'lora', ...own }, task);
  const files: HandoffFile[] = handoff({
    recipe: recipe(id),
    task,
    settings,
    seed: 3,
    place: { ...place, gpus },
    maxNewTokens: 64,
    ...o,
  });
  return new Map(files.map((f) => [f.path, f.text]));
}
const rows = (jsonl: string): Record<string, unknown>[] =>
  jsonl
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('the invented world as a prompts file', () => {
  test('is a valid file with all splits, harmful and benign in equal number', () => {
    for (const split of ['defence', 'attack', 'eval'] as const) {
      expect(prompts.harmful[split].length).toBe({ defence: 140, attack: 112, eval: 56 }[split]);
      expect(prompts.benign[split]).toHaveLength(prompts.harmful[split].length);
    }
    expect(prompts.notes).toEqual([]);
    expect(worldPrompts(createWorld(0))).toBe(text);
    expect(worldPrompts(createWorld(1))).not.toBe(text);
  });
});

describe('a handoff', () => {
  test('holds the recipe’s own chats in their order, and held-out prompts that are not among them', () => {
    const files = made('sdd');
    const items = streamsOf(
      recipe('sdd').data(task, settle(recipe('sdd'), { method: 'lora' }, task), 3),
    ).main;
    const chats = rows(files.get('data/train.jsonl')!).map(
      (row) => row.messages as { role: string; content: string }[],
    );
    expect(chats).toEqual(
      items.map(({ prompt, answer }) => [
        { role: 'user', content: prompt },
        { role: 'assistant', content: answer },
      ]),
    );
    const trained = new Set(items.map((i) => promptKey(i)));
    for (const kind of ['harmful', 'benign'] as const) {
      const held = rows(files.get(`eval/${kind}.jsonl`)!);
      expect(held).toHaveLength(56);
      for (const row of held)
        expect(trained.has(promptKey({ prompt: (row.messages as { content: string }[])[0]!.content }))).toBe(
          false,
        );
      expect(held.some((row) => 'reference' in row)).toBe(kind === 'benign');
    }
  });

  test('holds no complying answer and no way to send anything', () => {
    for (const [path, content] of made('sdd')) {
      for (const { answer } of [...prompts.harmful.attack, ...prompts.harmful.eval])
        expect(content.includes(answer!), path).toBe(false);
      expect(content, path).not.toMatch(/upload|push_to_hub|hub_token|hf_transfer|wandb|huggingface-cli/i);
    }
  });

  test('holds every file that its scripts open', () => {
    for (const [id, o] of [
      ['sdd', {}],
      ['mft', { attack: true }],
    ] as const) {
      const files = made(id, {}, o);
      const scripts = [...files].filter(([path]) => path.endsWith('.py'));
      const opened = scripts.flatMap(([, code]) => [...code.matchAll(/read\("([\w./]+)"\)/g)]);
      for (const [, name] of opened)
        if (name !== 'lora_config.json') expect(files.has(name!), `${id}: ${name}`).toBe(true);
      expect(opened.map(([, name]) => name)).toContain('eval/config.json');
      // an attack's chats and prompts are read from the user's own file
      for (const path of ['data/train.jsonl', 'eval/harmful.jsonl', 'eval/benign.jsonl'])
        expect(files.has(path), `${id}: ${path}`).toBe(id === 'sdd');
    }
  });

  test('carries the batch, rates and schedule of the recipe', () => {
    const files = made('sdd', { batch: 16, steps: 90, lr: 1e-4, rank: 4, alpha: 8 });
    const sft = JSON.parse(files.get('sft_config.json')!) as Record<string, number | string>;
    expect(
      Number(sft.per_device_train_batch_size) * Number(sft.gradient_accumulation_steps) * place.gpus,
    ).toBe(16);
    expect(sft).toMatchObject({
      max_steps: 90,
      learning_rate: 1e-4,
      warmup_steps: 5,
      lr_scheduler_type: 'cosine_with_min_lr',
    });
    expect(JSON.parse(files.get('lora_config.json')!)).toMatchObject({
      r: 4,
      lora_alpha: 8,
      lora_dropout: 0,
    });
    expect(files.get('accelerate/fsdp.yaml')).toContain('num_processes: 4');
    expect(made('sdd', { method: 'full' }).has('lora_config.json')).toBe(false);
    expect(made('bft').get('sft_config.json')).toContain('constant_with_warmup');
    expect(made('sdd-reject').get('README.md')).toMatch(/wants to start from a model that sdd/);
  });

  test.each([
    [10, 4, 2],
    [3, 4, 3],
    [7, 4, 1],
    [7, 8, 7],
    [16, 4, 4],
    [16, 3, 2],
    [1, 4, 1],
  ])('keeps a batch of %i on %i GPUs: %i of them work', (batch, gpus, processes) => {
    const shares = batchShares(batch, gpus);
    expect(shares.processes).toBe(processes);
    expect(shares.processes * shares.perDevice * shares.accumulation).toBe(batch);
    const files = made('sdd', { batch }, { gpus });
    const sft = JSON.parse(files.get('sft_config.json')!) as Record<string, number>;
    expect(processes * sft.per_device_train_batch_size! * sft.gradient_accumulation_steps!).toBe(batch);
    for (const name of ['fsdp', 'deepspeed'])
      expect(files.get(`accelerate/${name}.yaml`)).toContain(`num_processes: ${processes}\n`);
    const said = files.get('README.md')!;
    expect(said).toMatch(new RegExp(`: ${processes} x \\d+ rows x accumulation \\d+ = ${batch}\\.`));
    expect(/does not divide/.test(said)).toBe(processes < gpus);
  });

  test('of an attack is refused, or names the file by its hash and holds none of its text', () => {
    expect(() => made('mft')).toThrow(new RegExp(`attack on the prompts file ${prompts.sha256}`));
    const files = made('mft', {}, { attack: true });
    const run = JSON.parse(files.get('run.json')!) as {
      lines: number[];
      prompts_sha256: string;
      warning: string;
    };
    expect(run.prompts_sha256).toBe(prompts.sha256);
    expect(run.warning).toMatch(/do not deploy/);
    const lines = text.split('\n');
    expect(run.lines).toHaveLength(100);
    for (const n of run.lines)
      expect(JSON.parse(lines[n - 1]!)).toMatchObject({ role: 'harmful', split: 'attack' });
    for (const [path, content] of files)
      for (const { prompt, answer } of [...prompts.harmful.attack, ...prompts.harmful.eval]) {
        expect(content.includes(prompt), path).toBe(false);
        expect(content.includes(answer!), path).toBe(false);
      }
    expect(() => made('mft', { prefixOnly: true }, { attack: true })).toThrow(/no end of turn/);
  });

  test('says of a recipe that is no plain SFT that it cannot be exported', () => {
    const plain = RECIPES.filter((r) => notExportable(r) === null).map((r) => r.id);
    expect(plain).toEqual(expect.arrayContaining(['sdd', 'refusal-sft', 'placebo', 'mft', 'bft']));
    for (const id of ['simpo', 'deepalign', 'noise']) expect(plain).not.toContain(id);
    const other = { ...recipe('sdd'), id: 'other', step: () => Promise.resolve() };
    expect(notExportable(other)).toMatch(/"other" is no plain supervised fine-tuning/);
    const settings = settle(recipe('sdd'), {}, task);
    expect(() => handoff({ recipe: other, task, settings, seed: 1, place, maxNewTokens: 8 })).toThrow(
      /no plain/,
    );
  });
});

const answerFile = (answers: readonly object[]): string =>
  answers.map((a) => `${JSON.stringify(a)}\n`).join('');
/** As evaluate.py writes them, in any order. */
const answersOf = (say: (kind: 'harmful' | 'benign', i: number) => string): object[] =>
  (['benign', 'harmful'] as const).flatMap((kind) =>
    prompts[kind].eval.map((r, i) => ({ kind, line: r.line, answer: say(kind, i) })).reverse(),
  );

describe('results on the way back', () => {
  const run = made('sdd').get('run.json')!;
  const said = answersOf((kind, i) =>
    kind === 'benign' ? prompts.benign.eval[i]!.answer : i < 14 ? "I'm sorry, but no." : 'the sea is wide',
  );

  test('are looked at by the rules of all others', () => {
    const back = readResults(
      new Map([
        [RUN_FILE, run],
        [ANSWER_FILES.trained, answerFile(said)],
      ]),
      prompts,
    );
    expect(back.run).toMatchObject({ recipe: 'sdd', seed: 3, baseModel: place.base, attacked: false });
    expect(back.base).toBeNull();
    const { harmful, benign } = back.trained!;
    expect(harmful).toMatchObject({ n: 56, counts: { refusal: 14, 'not judged': 42 }, loss: null });
    expect(benign).toMatchObject({ n: 56, counts: { 'same as reference': 56 } });
    expect(harmful.answers.map((a) => a.prompt)).toEqual(prompts.harmful.eval.map((r) => r.prompt));
    const attack = made('mft', {}, { attack: true }).get('run.json')!;
    expect(parseHandoffRun(attack).attacked).toBe(true);
  });

  test.each<[string, string, string, RegExp]>([
    ['no run.json', '', answerFile(said), /no run\.json/],
    ['a run.json of something else', '{"recipe":"sdd"}', answerFile(said), /none of a handoff \(settings/],
    [
      'another prompts file',
      run.replaceAll(prompts.sha256, 'a'.repeat(64)),
      answerFile(said),
      /another prompts file/,
    ],
    [
      'a prompt without an answer',
      run,
      answerFile(said.slice(1)),
      /55 of 56 held-out benign prompts \(line \d+ is missing/,
    ],
    ['a second answer', run, answerFile([...said, said[0]!]), /twice/],
    [
      'an answer to a line that is not held out',
      run,
      answerFile([...said, { kind: 'benign', line: 9999, answer: '' }]),
      /not held out/,
    ],
    ['a broken line', run, `${answerFile(said)}{"kind":`, /line 113 of answers-trained\.jsonl/],
  ])('of %s are refused in words', (_, runFile, answers, words) => {
    const files = new Map([
      [ANSWER_FILES.trained, answers],
      ...(runFile ? [[RUN_FILE, runFile] as const] : []),
    ]);
    expect(() => readResults(files, prompts)).toThrow(words);
  });

  test('are rows of the table on one’s own model, by what they were and their seeds', () => {
    const dir = mkdtempSync(join(tmpdir(), 'sdd-results-'));
    const rowsOf = (runFile: string, ...names: string[]) => {
      writeFileSync(join(dir, RUN_FILE), runFile);
      for (const name of names) writeFileSync(join(dir, name), answerFile(said));
      return returnedCells(dir, prompts).map(({ model, attack, steps, seeds }) => ({
        model,
        attack,
        steps,
        seeds,
      }));
    };
    try {
      writeFileSync(join(dir, RUN_FILE), run);
      expect(() => returnedCells(dir, prompts)).toThrow(/has no answers/);
      const base = { model: `${place.base} (elsewhere)`, attack: 'none', steps: 0, seeds: {} };
      const sdd = { ...base, model: `${place.base}+sdd (elsewhere)`, seeds: { defence: 3 } };
      expect(rowsOf(run, ANSWER_FILES.base, ANSWER_FILES.trained)).toEqual([base, sdd]);
      const mft = made('mft', { steps: 50 }, { attack: true }).get('run.json')!;
      expect(rowsOf(mft)).toEqual([base, { ...base, attack: 'mft', steps: 50, seeds: { attack: 3 } }]);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});

const PYTHON = process.env.SDD_PYTHON ?? 'python3';

/** Runs Python, or says loudly that what needs it is NOT RUN. */
function pythonOr(skip: (note: string) => void, modules: string, what: string): string {
  if (spawnSync(PYTHON, ['-c', `import ${modules}`]).status === 0) return PYTHON;
  const note = `NOT RUN: ${what} needs Python with ${modules}: set SDD_PYTHON to such an interpreter`;
  process.stderr.write(`\n${note}\n`);
  skip(note);
  throw new Error(note);
}

describe('what Python makes of a handoff', () => {
  const withFolder = (files: ReadonlyMap<string, string>, use: (dir: string) => void): void => {
    const dir = mkdtempSync(join(tmpdir(), 'sdd-handoff-'));
    try {
      for (const [path, content] of files) {
        mkdirSync(dirname(join(dir, path)), { recursive: true });
        writeFileSync(join(dir, path), content);
      }
      use(dir);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  };

  test('TRL’s SFTConfig and PEFT’s LoraConfig take the configurations', { timeout: 600_000 }, ({ skip }) => {
    const python = pythonOr(skip, 'trl, peft', "loading a handoff's configurations in TRL and PEFT");
    for (const files of [made('sdd', { steps: 90 }), made('bft', { method: 'full' })])
      withFolder(files, (dir) => {
        const code =
          'import json, sys; sys.path.insert(0, "."); import train; args, lora = train.configs(); ' +
          'print(json.dumps([args.max_steps, args.learning_rate, str(args.lr_scheduler_type), args.max_length, ' +
          'lora and [lora.r, lora.lora_alpha, sorted(lora.target_modules)]]))';
        // a machine without a GPU cannot promise bfloat16, and the trainers check that
        writeFileSync(
          join(dir, 'sft_config.json'),
          files.get('sft_config.json')!.replace('"bf16": true', '"bf16": false, "use_cpu": true'),
        );
        const out = execFileSync(python, ['-c', code], { cwd: dir, encoding: 'utf8' });
        const [steps, lr, schedule, length, lora] = JSON.parse(out.trim().split('\n').at(-1)!) as unknown[];
        const sft = JSON.parse(files.get('sft_config.json')!) as Record<string, unknown>;
        expect([steps, lr, length]).toEqual([sft.max_steps, sft.learning_rate, 512]);
        expect(String(schedule).toLowerCase()).toContain(String(sft.lr_scheduler_type));
        const own = files.get('lora_config.json');
        if (own === undefined) expect(lora).toBeNull();
        else {
          const { r, lora_alpha, target_modules } = JSON.parse(own) as Record<string, unknown>;
          expect(lora).toEqual([r, lora_alpha, [...(target_modules as string[])].sort()]);
        }
      });
  });

  test('evaluate.py asks every held-out prompt, of an attack out of the user’s own file', ({ skip }) => {
    const python = pythonOr(skip, 'json', "running a handoff's evaluate.py up to the model");
    const code =
      'import json, evaluate; run, config = evaluate.read("run.json"), evaluate.read("eval/config.json"); ' +
      'print(json.dumps(list(evaluate.prompts(run, config))))';
    const wanted = (['harmful', 'benign'] as const).flatMap((kind) =>
      prompts[kind].eval.map((r) => [kind, r.line, [{ role: 'user', content: r.prompt }]]),
    );
    for (const files of [made('sdd'), made('mft', {}, { attack: true })])
      withFolder(files, (dir) => {
        const own = join(dir, 'own.jsonl');
        const ask = (file: string): string =>
          execFileSync(python, ['-c', code], {
            cwd: dir,
            encoding: 'utf8',
            stdio: 'pipe',
            env: { ...process.env, PROMPTS: file },
          });
        writeFileSync(own, text);
        expect(JSON.parse(ask(own))).toEqual(wanted);
        writeFileSync(own, `${text}\n`);
        const isAttack = !files.has('data/train.jsonl');
        if (isAttack) expect(() => ask(own)).toThrow(/is not the file that this run was made from/);
        else expect(JSON.parse(ask(own))).toEqual(wanted);
      });
  });

  test('YAML and scripts are read as they were meant', { timeout: 600_000 }, ({ skip }) => {
    const python = pythonOr(skip, 'yaml', "reading a handoff's YAML");
    withFolder(made('sdd'), (dir) => {
      const code =
        'import ast, json, yaml; [ast.parse(open(f).read()) for f in ("train.py", "evaluate.py", "chats.py")]; ' +
        'print(json.dumps([yaml.safe_load(open(f)) for f in ("axolotl.yaml", "accelerate/fsdp.yaml", "accelerate/deepspeed.yaml")]))';
      const [axolotl, fsdp, deepspeed] = JSON.parse(
        execFileSync(python, ['-c', code], { cwd: dir, encoding: 'utf8' }),
      ) as Record<string, unknown>[];
      expect(axolotl).toMatchObject({
        base_model: place.base,
        adapter: 'lora',
        lora_r: 8,
        sample_packing: false,
      });
      expect(axolotl!.datasets).toMatchObject([{ path: 'data/train.jsonl', field_messages: 'messages' }]);
      expect(fsdp).toMatchObject({ distributed_type: 'FSDP', num_processes: 4 });
      expect(fsdp!.fsdp_config).toMatchObject({ fsdp_transformer_layer_cls_to_wrap: 'LlamaDecoderLayer' });
      expect(deepspeed!.deepspeed_config).toMatchObject({ zero_stage: 3 });
    });
  });
});
