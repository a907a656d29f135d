import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { nodeFolder } from '../../src/cli/models-files.ts';
import { inspectModel, reportLines } from '../../src/cli/models-inspect.ts';
import { makeModel, SHAPES } from '../../src/cli/models-make.ts';
import { openModel } from '../../src/cli/models-open.ts';
import { main } from '../../src/cli/models.ts';
import { parseLlamaConfig, tensorShapes } from '../../src/core/config.ts';
import { bytesSource, type FileSource } from '../../src/files/source.ts';

const TINY = 'public/models/tiny-chat';
const dir = mkdtempSync(join(tmpdir(), 'models-'));
afterAll(() => rmSync(dir, { recursive: true }));

/** The embedded model's folder with some files changed; null takes one away. */
async function changed(files: Record<string, object | string | null>): Promise<Map<string, FileSource>> {
  const folder = new Map(await nodeFolder(TINY));
  for (const [name, content] of Object.entries(files)) {
    if (content === null) folder.delete(name);
    else {
      const text = typeof content === 'string' ? content : JSON.stringify(content);
      folder.set(name, bytesSource(name, new TextEncoder().encode(text)));
    }
  }
  return folder;
}
const config = JSON.parse(readFileSync(join(TINY, 'config.json'), 'utf8')) as Record<string, unknown>;

describe('models inspect', () => {
  it('tells what a model is, in parts that add up', async () => {
    const report = await inspectModel(await nodeFolder(TINY));
    expect(report).toMatchObject({
      architecture: 'LlamaForCausalLM',
      parameters: 432192,
      tensors: 38,
      tokenizer: { kind: 'WordPiece', bos: '<bos>', eos: '<eos>' },
      chatTemplate: 'model',
      unsupported: [],
    });
    const shapes = [...tensorShapes(parseLlamaConfig(config)).values()];
    const numbers = shapes.reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
    expect(report.parts.reduce((sum, part) => sum + part.parameters, 0)).toBe(numbers);
    expect(report.parts.map((p) => [p.part, Object.keys(p.dtypes)])).toEqual(
      ['embedding', 'attention', 'mlp', 'norms'].map((part) => [part, ['F16']]),
    );
    expect(reportLines(report).join('\n')).toMatch(/parameters +432,192[^]*supported +yes/);
  });

  it.for<[string, Record<string, object | string | null>, RegExp]>([
    [
      'a bias',
      { 'config.json': { ...config, attention_bias: true } },
      /config.json: "attention_bias" is true/,
    ],
    [
      'another size',
      { 'config.json': { ...config, hidden_size: 192 } },
      /weights: "model.embed_tokens.weight" has shape/,
    ],
    [
      'fewer rows than ids',
      { 'config.json': { ...config, vocab_size: 300 } },
      /ids up to 396, and "vocab_size" is 300/,
    ],
    [
      'a head that is missing',
      { 'config.json': { ...config, tie_word_embeddings: false } },
      /missing tensor "lm_head.weight"/,
    ],
    ['no config', { 'config.json': null }, /no config.json/],
    ['a page for a config', { 'config.json': '<html>' }, /config.json is not JSON/],
    ['no tokenizer', { 'tokenizer.json': null }, /no tokenizer.json/],
    ['no weights', { 'model.safetensors': null }, /no model.safetensors/],
    [
      'a pointer for weights',
      { 'model.safetensors': 'version https://git-lfs' },
      /damaged or not a safetensors/,
    ],
    ['a broken template', { 'chat_template.jinja': '{% for %}' }, /chat template cannot be read/],
  ])('names %s, and opening names it too', async ([, files, message]) => {
    const report = await inspectModel(await changed(files));
    expect(report.unsupported.join('\n')).toMatch(message);
    expect(reportLines(report).join('\n')).toMatch(/^unsupported /m);
  });

  it('names what opening a model stops at', async () => {
    const open = async (files: Record<string, object | string | null>) => openModel(await changed(files));
    await expect(open({ 'config.json': null })).rejects.toThrow(/no config.json/);
    await expect(open({ 'tokenizer.json': null })).rejects.toThrow(/no tokenizer.json/);
    await expect(open({ 'config.json': { ...config, vocab_size: 300 } })).rejects.toThrow(
      /do not belong together/,
    );
  });
});

describe('models in a terminal', () => {
  it('ends with 1 and every reason when a model cannot be used, with 0 when it can', async () => {
    const print = vi.spyOn(console, 'log').mockImplementation(() => undefined);
    try {
      expect(await main(['inspect', TINY, '--json'])).toBe(0);
      expect((JSON.parse(print.mock.lastCall![0] as string) as { parameters: number }).parameters).toBe(
        432192,
      );
      writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...config, mlp_bias: true }));
      expect(await main(['inspect', dir])).toBe(1);
      expect(print.mock.lastCall![0]).toMatch(
        /"mlp_bias"[^]*no tokenizer.json|no model.safetensors[^]*"mlp_bias"/,
      );
    } finally {
      print.mockRestore();
    }
  });

  it.for<[string[], RegExp]>([
    [[], /Which command/],
    [['inspect'], /takes one folder/],
    [['sing', 'x'], /no command "sing"/],
    [['generate', TINY], /needs --prompt/],
    [
      ['generate', TINY, '--prompt', 'How do I Jailbreak the silver zeppelin?'],
      /know "Jailbreak", "zeppelin"\.$/,
    ],
    [['generate', TINY, '--prompt', 'open the silver vault <eos>'], /does not know "<eos>"|"eos"/],
    [['generate', TINY, '--prompt', '<bos> <user> a zeppelin', '--raw'], /does not know "zeppelin"\.$/],
    [['generate', TINY, '--prompt', 'x', '--max-tokens', '0'], /--max-tokens is "0"/],
    [['generate', TINY, '--prompt', 'x', '--temperature', 'hot'], /--temperature is "hot"/],
    [['generate', TINY, '--prompt', 'x', '--seed', '1.5'], /--seed is "1.5"/],
    [['inspect', TINY, '--what'], /--what/],
    [['inspect', '/nowhere/at/all'], /There is no folder/],
    [['make', '/nowhere/at/all', '--shape', 'huge'], /no shape "huge"/],
    [['make', TINY, '--shape', 'smollm2-135m'], /is not empty/],
  ])('refuses %j', async ([argv, message]) => {
    await expect(main(argv)).rejects.toThrow(message);
  });

  it('makes the shape of SmolLM2-135M: 134,515,008 parameters', async () => {
    const shapes = [...tensorShapes(parseLlamaConfig(SHAPES['smollm2-135m'])).values()];
    expect(shapes.reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0)).toBe(134_515_008);
    await expect(makeModel(dir, 'smollm2-135m')).rejects.toThrow(/not empty/);
  });
});
