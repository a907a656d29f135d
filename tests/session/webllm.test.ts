/** The lab's engine on a real device and a guest beside it: who has the memory, what becomes of a paused run, and both on one text. */
import 'fake-indexeddb/auto';
import { afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { parseLlamaConfig } from '../../src/core/config.ts';
import { tokenizerConfigJson, tokenizerJson } from '../../src/data/tokenizer-files.ts';
import { TextTokenizer } from '../../src/data/hf-tokenizer.ts';
import { LIMITS, type AdapterFacts } from '../../src/llm/models.ts';
import { readSafetensors } from '../../src/model/safetensors.ts';
import * as ref from '../../src/reference/llama.ts';
import { GREEDY, type LocalSource } from '../../src/worker/protocol.ts';
import { checkpoint } from '../support/checkpoint.ts';
import { FakeEngine, fakeLibrary, type Script } from '../support/fake-webllm.ts';
import { pageGpu } from '../support/page-gpu.ts';
import { STAND_IN } from '../support/stand-in.ts';
import { Page } from './page.ts';
import { serveModels } from './shipped.ts';

const MODEL = 'Llama-3.2-1B-Instruct-q4f32_1-MLC';
const able: AdapterFacts = { f16: true, limits: { ...LIMITS } };
const net = {
  fetch: async () => new Response('{}'),
  cached: async () => new Set<string>(),
  online: () => true,
  free: () => Promise.resolve(null),
};

let gpu: GPU;
let page: Page;
let script: Script;
let count = 0;

beforeAll(async () => {
  gpu = await pageGpu();
});
beforeEach(async () => {
  serveModels();
  FakeEngine.live = 0;
  script = {};
  const library = fakeLibrary(script);
  page = new Page(gpu, `webllm-test-${++count}`, {
    webllm: { library: async () => library, adapter: async () => able, net },
  });
  await page.ask('init', { modelsUrl: 'http://lab.test/models/' });
});
afterEach(() => {
  vi.unstubAllGlobals();
  page.die();
});

const chat = () => page.ask('llmChat', { modelId: MODEL, prompt: 'hello', sampling: GREEDY });
const bytes = async () => (await page.ask('memory', {})).gpuBytes;

it('the guest finds the GPU empty, and a paused run stands paused again at its step, bit for bit', async () => {
  await page.ask('loadEmbedded', { name: 'tiny-chat' });
  const params = {
    ...{
      parentNodeId: 'tiny-chat',
      recipe: 'mft',
      settings: { batch: 4, n: 12 },
      seed: 7,
      saveAt: [3, 6],
      probeEvery: 0,
    },
  };
  const straight = await page.ask('train', params);
  await page.until(straight.id, 'finished');
  const { id } = await page.ask('train', params);
  // while it trains, the guest is refused and nothing is touched
  const refused = await chat().catch((e: unknown) => e);
  await page.ask('control', { runId: id, control: { action: 'pause' } });
  const paused = await page.until(id, 'paused', 'finished');
  expect(paused.state).toBe('paused');
  expect(refused).toMatchObject({ code: 'bad-input' });
  expect(await bytes()).toBeGreaterThan(0);

  let during = -1;
  script.token = async () => {
    if (during < 0) during = page.service.ctx.gpu.stats.bytes;
  };
  expect((await chat()).text).toBe('I cannot help with that.');
  expect(during).toBe(0);
  expect(FakeEngine.live).toBe(1);
  await page.ask('llmUnload', {});
  expect(FakeEngine.live).toBe(0);
  const again = (await page.ask('runs', {})).find((r) => r.id === id)!;
  expect(again).toMatchObject({ state: 'paused', step: paused.step, notBitComparable: false });
  await page.ask('control', { runId: id, control: { action: 'resume' } });
  await page.until(id, 'finished');
  const digest = async (run: string) =>
    (await page.ask('nodes', {})).find((n) => n.runId === run && n.steps === 6)!.weightsDigest;
  expect(await digest(id)).toBe(await digest(straight.id));
});

it('both engines on one text: the lab beside float64 in the guest’s place, and a guest that is off', async () => {
  const files = checkpoint();
  const source: LocalSource = {
    kind: 'files',
    name: 'mine',
    files: Object.entries(files).map(([name, part]) => ({ name, file: new Blob([part]) })),
  };
  const node = await page.ask('openModel', { source });
  const config = parseLlamaConfig(STAND_IN);
  const params = ref.toParams(readSafetensors(files['model.safetensors'] as Uint8Array<ArrayBuffer>).tensors);
  const tokenizer = new TextTokenizer({ tokenizer: tokenizerJson(), tokenizerConfig: tokenizerConfigJson() });
  let off = 0;
  // the five most likely next tokens, as float64 has them
  script.next = (prompt) => {
    const ids = tokenizer.encode(prompt);
    const { logits } = ref.forward(config, params, [{ ids, labels: ids }]);
    const last = [...logits.slice(-config.vocab_size)];
    const most = Math.max(...last);
    const sum = Math.log(last.reduce((s, x) => s + Math.exp(x - most), 0)) + most;
    return last
      .map((x, id): [string, number] => [tokenizer.decode([id], { special: true }), x - sum + off])
      .sort((a, b) => b[1] - a[1])
      .slice(0, 5);
  };
  const ask = () =>
    page.ask('llmCrossCheck', { modelId: MODEL, nodeId: node.id, prompt: 'bake the amber loaf' });
  const same = await ask();
  expect(same.places.map((p) => p.before)).toEqual([
    'bake',
    'bake the',
    'bake the amber',
    'bake the amber loaf',
  ]);
  expect(same.places.flatMap((p) => p.tokens).length + same.unmatched).toBe(20);
  expect(same.places.flatMap((p) => p.tokens).length).toBeGreaterThan(10);
  console.log(`    largest difference to float64: ${same.largest} nats, ${same.unmatched} unmatched`);
  expect(same.largest).toBeLessThan(1e-4);
  off = 0.5;
  expect((await ask()).largest).toBeCloseTo(0.5, 3);
  expect(FakeEngine.live).toBe(0);
});

it('a model of the tiny world is refused by name', async () => {
  await page.ask('loadEmbedded', { name: 'tiny-chat' });
  await expect(
    page.ask('llmCrossCheck', { modelId: MODEL, nodeId: 'tiny-chat', prompt: 'x' }),
  ).rejects.toMatchObject({ code: 'bad-input', what: expect.stringContaining('tiny-chat') });
});
