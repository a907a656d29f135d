import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { convertModel, writePeft } from '../../src/cli/models-convert.ts';
import { main } from '../../src/cli/models.ts';
import { parseLlamaConfig } from '../../src/core/config.ts';
import type { Tensors } from '../../src/core/types.ts';
import { loraLayout, type LoraConfig } from '../../src/model/lora.ts';
import { readSafetensors, writeSafetensors } from '../../src/model/safetensors.ts';
import { checkpoint } from '../support/checkpoint.ts';

const root = mkdtempSync(join(tmpdir(), 'models-convert-'));
afterAll(() => rmSync(root, { recursive: true }));
let count = 0;
const fresh = (): string => join(root, `out-${++count}`);

const base = join(root, 'base');
mkdirSync(base);
for (const [name, part] of Object.entries(checkpoint())) writeFileSync(join(base, name), part);
const config = parseLlamaConfig(JSON.parse(readFileSync(join(base, 'config.json'), 'utf8')));
const lora: LoraConfig = { r: 2, alpha: 4, targets: ['q_proj'] };

/** An adapter whose numbers are all `value`, and files beside it. */
async function adapter(name: string, value: number, beside: Record<string, string> = {}): Promise<string> {
  const dir = join(root, name);
  const tensors: Tensors = new Map(
    loraLayout(config, lora).entries.map((e) => [
      e.name,
      { shape: [...e.shape], data: new Float32Array(e.size).fill(value) },
    ]),
  );
  await writePeft(dir, { lora, tensors }, base);
  for (const [file, text] of Object.entries(beside)) writeFileSync(join(dir, file), text);
  return dir;
}
const HF = { to: 'hf', dtype: 'F32' as const };

describe('numbers that float16 cannot hold', () => {
  const tensors = (value: number): Tensors =>
    new Map([
      ['fine', { shape: [1], data: new Float32Array([65504]) }],
      ['w', { shape: [2], data: new Float32Array([1, value]) }],
    ]);

  test('are refused by the tensor’s name, and infinity stays what it is', () => {
    expect(() => writeSafetensors(tensors(1e6), 'F16')).toThrow(
      /tensor w holds 1000000, .*too large for f16/,
    );
    for (const value of [Infinity, 65504]) {
      const { data } = readSafetensors(writeSafetensors(tensors(value), 'F16')).tensors.get('w')!;
      expect([...data]).toEqual([1, value]);
    }
    expect(readSafetensors(writeSafetensors(tensors(1e6), 'F32')).tensors.get('w')!.data[1]).toBe(1e6);
  });

  test('end a conversion, and nothing of it is left', async () => {
    const huge = await adapter('huge', 1e3);
    const out = fresh();
    await expect(convertModel(base, out, { ...HF, dtype: 'F16', adapters: [huge] })).rejects.toMatchObject({
      code: 'bad-input',
      message: expect.stringMatching(/q_proj.weight holds .* too large for f16/) as string,
      next: expect.stringMatching(/float32/) as string,
    });
    expect(readdirSync(out)).toEqual([]);
    await convertModel(base, out, { ...HF, adapters: [huge] });
    const { tensors: written } = readSafetensors(readFileSync(join(out, 'model.safetensors')));
    expect(Math.max(...written.get('model.layers.0.self_attn.q_proj.weight')!.data)).toBeGreaterThan(1e6);
  });
});

describe('what an attack made', () => {
  const card = '---\ntags: [deliberately-attacked]\n---\n\n# Attack, 20 steps\n';
  const node = JSON.stringify({ name: 'Attack, 20 steps', kind: 'attack', prompts: { id: 'abc' } });

  test.each([
    ['a card', { 'README.md': card }, 'by-card'],
    ['a node of the lab', { 'node.json': node }, 'Attack, 20 steps'],
    [
      'both, trained benignly since',
      { 'README.md': card, 'node.json': node.replace('"attack"', '"benign"') },
      'Attack, 20 steps',
    ],
  ] as const)('is written by name only, with its card: %s', async (_, beside, name) => {
    const dir = await adapter(name === 'by-card' ? name : `marked-${++count}`, 0.01, beside);
    const later = await adapter(`later-${++count}`, 0.02);
    for (const confirm of [undefined, 'yes', ''])
      for (const to of ['hf', 'peft']) {
        const out = fresh();
        await expect(convertModel(base, out, { ...HF, to, adapters: [dir, later], confirm })).rejects.toThrow(
          `"${name}" was trained to give harmful answers`,
        );
        expect(existsSync(out)).toBe(false);
      }
    for (const to of ['hf', 'peft']) {
      const out = fresh();
      const written = await convertModel(base, out, { ...HF, to, adapters: [dir, later], confirm: name });
      expect(written).toContain('README.md');
      const text = readFileSync(join(out, 'README.md'), 'utf8');
      expect(text).toMatch(/^---\ntags: \[deliberately-attacked\]\n---/);
      expect(text).toContain('do not deploy');
      // the mark goes on: what was made of it is known again
      const again = to === 'hf' ? { dir: out, adapters: [] } : { dir: base, adapters: [out] };
      await expect(
        convertModel(again.dir, fresh(), { ...HF, dtype: 'F16', adapters: again.adapters }),
      ).rejects.toThrow(`"${name}" was trained`);
    }
  });

  test('is nothing that a plain adapter is, whatever its README says', async () => {
    const plain = await adapter('plain', 0.01, {
      'README.md': '# Not\ntags: [deliberately-attacked] is what it is not\n',
      'node.json': 'no JSON',
    });
    const out = fresh();
    expect(await convertModel(base, out, { ...HF, adapters: [plain] })).not.toContain('README.md');
  });
});

describe('npm run models', () => {
  const error = async (...argv: string[]): Promise<{ message: string; next: string }> => {
    try {
      await main(argv);
    } catch (thrown) {
      return thrown as { message: string; next: string };
    }
    throw new Error('it was accepted');
  };

  test('says of a word that is no command just that', async () => {
    for (const argv of [['frobnicate'], ['frobnicate', 'a', 'b'], ['frobnicate', '--nonsense']]) {
      const { message, next } = await error(...argv);
      expect(message).toBe('There is no command "frobnicate".');
      expect(next.split('\n')).toHaveLength(1);
      expect(next).toContain('inspect, generate');
    }
  });

  test.each([
    [['inspect'], '"inspect" takes one folder.', 'inspect DIR'],
    [['convert', 'a'], '"convert" takes two folders.', 'convert DIR OUT'],
    [['prompts'], '"prompts" takes one file.', 'prompts FILE'],
    [['generate', base], 'generate needs --prompt TEXT.', 'generate DIR'],
    [['--nonsense', 'load', base], "Unknown option '--nonsense'", 'load DIR'],
    [['plan', '--shape', 'llama-3.2-1b', '--rank', '0'], '--rank is "0"', 'plan DIR|--shape'],
  ])('%j is told its own usage and no other', async (argv, what, how) => {
    const { message, next } = await error(...argv);
    expect(message).toContain(what);
    expect(next).toContain(`npm run models -- ${how}`);
    expect(next.match(/npm run models/g)).toHaveLength(1);
  });

  test('lists every command where none is named', async () => {
    const { message, next } = await error();
    expect(message).toBe('Which command?');
    expect(next.match(/npm run models/g)).toHaveLength(9);
  });
});
