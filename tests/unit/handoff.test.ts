import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ChatCodec } from '../../src/data/task.ts';
import { fileTask } from '../../src/data/file-task.ts';
import { promptKey, readPrompts, type Prompts } from '../../src/data/prompts-file.ts';
import { worldPrompts } from '../../src/data/world-prompts.ts';
import { batchShares } from '../../src/recipes/handoff/configs.ts';
import { handoff, notExportable, type HandoffFile } from '../../src/recipes/handoff/index.ts';
import { recipe, RECIPES } from '../../src/recipes/index.ts';
import { settle } from '../../src/recipes/recipe.ts';
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
    const items = recipe('sdd').data(task, settle(recipe('sdd'), { method: 'lora' }, task), 3);
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
      const opened = scripts.flatMap(([, code]) => [...code.matchAll(/HERE, "(\w+)", "([\w.]+)"/g)]);
      // train.py reads an attack's own file instead of data/
      for (const [, folder, name] of opened)
        if (!(id === 'mft' && folder === 'data'))
          expect(files.has(`${folder}/${name}`), `${id}: ${name}`).toBe(true);
      if (files.has('evaluate.py'))
        for (const kind of ['harmful', 'benign']) expect(files.has(`eval/${kind}.jsonl`), id).toBe(true);
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
    // a script that opens a file which is not there is no use
    expect(files.has('evaluate.py')).toBe(false);
    expect(files.get('README.md')).not.toContain('evaluate.py');
    expect(() => made('mft', { prefixOnly: true }, { attack: true })).toThrow(/no end of turn/);
  });

  test('says of a recipe that is no plain SFT that it cannot be exported', () => {
    for (const r of RECIPES) expect(notExportable(r)).toBeNull();
    const other = { ...recipe('sdd'), id: 'other', step: () => Promise.resolve() };
    expect(notExportable(other)).toMatch(/"other" is no plain supervised fine-tuning/);
    const settings = settle(recipe('sdd'), {}, task);
    expect(() => handoff({ recipe: other, task, settings, seed: 1, place, maxNewTokens: 8 })).toThrow(
      /no plain/,
    );
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

  test('YAML and scripts are read as they were meant', { timeout: 600_000 }, ({ skip }) => {
    const python = pythonOr(skip, 'yaml', "reading a handoff's YAML");
    withFolder(made('sdd'), (dir) => {
      const code =
        'import ast, json, yaml; [ast.parse(open(f).read()) for f in ("train.py", "evaluate.py")]; ' +
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
