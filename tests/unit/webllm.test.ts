import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { LabError } from '../../src/core/errors.ts';
import { WEBLLM_VERSION } from '../../src/llm/browser.ts';
import { filesUrl, LIMITS, needsF16, suggested, type AdapterFacts } from '../../src/llm/models.ts';
import type { LlmModel } from '../../src/llm/ports.ts';
import { Progress } from '../../src/llm/progress.ts';
import { PATIENCE_MS, type Net } from '../../src/llm/reach.ts';
import { WebLlm, type WebLlmOptions } from '../../src/llm/webllm.ts';
import {
  exited,
  FakeEngine,
  fakeLibrary,
  modelNotLoaded,
  record,
  RECORDS,
  type Script,
} from '../support/fake-webllm.ts';

const BIG = 'Llama-3.2-1B-Instruct-q4f32_1-MLC';
const HALF = 'Llama-3.2-1B-Instruct-q4f16_1-MLC';
const SMALL = 'SmolLM2-135M-Instruct-q0f32-MLC';

const able: AdapterFacts = { f16: true, limits: { ...LIMITS } };
const net = (o: Partial<Net> = {}): Net => ({
  fetch: async () => new Response('{}'),
  cached: async () => new Set<string>(),
  online: () => true,
  free: () => Promise.resolve(null),
  ...o,
});

function lab(script: Script = {}, o: Partial<WebLlmOptions> = {}) {
  const library = fakeLibrary(script);
  const llm = new WebLlm({
    library: async () => library,
    version: WEBLLM_VERSION,
    adapter: async () => able,
    net: net(),
    ...o,
  });
  return { llm, library };
}
const chat = (llm: WebLlm, o: { signal?: AbortSignal; onText?: (piece: string) => void } = {}) =>
  llm.chat([{ role: 'user', content: 'hello' }], { maxTokens: 20, temperature: 0, seed: 1, ...o });

/** A promise and its end. */
function gate(): { wait: Promise<void>; open: () => void } {
  let open = (): void => {};
  return { wait: new Promise((resolve) => (open = () => resolve())), open: () => open() };
}

beforeEach(() => {
  FakeEngine.live = 0;
  FakeEngine.most = 0;
});

describe('the adapter to WebLLM', () => {
  it('names the version that is installed and pinned', () => {
    const at = (path: string) =>
      JSON.parse(readFileSync(path, 'utf8')) as Record<string, Record<string, string>>;
    expect(at('package.json').dependencies!['@mlc-ai/web-llm']).toBe(WEBLLM_VERSION);
    expect(at('node_modules/@mlc-ai/web-llm/package.json').version).toBe(WEBLLM_VERSION);
  });

  it('reads the real list: kinds, memory, 16 bits, addresses of files', async () => {
    const real = await import('@mlc-ai/web-llm');
    const llm = new WebLlm({
      library: async () => real,
      version: WEBLLM_VERSION,
      adapter: async () => able,
      net: net(),
    });
    const models = await llm.models();
    expect(models.length).toBeGreaterThan(100);
    expect(models.filter((m) => m.kind === 'embedding').map((m) => m.id)).toContain(
      'snowflake-arctic-embed-s-q0f32-MLC-b4',
    );
    expect(models.some((m) => /vision/i.test(m.id))).toBe(false);
    const half = real.prebuiltAppConfig.model_list.find((m) => m.model_id === HALF)!;
    // its record does not say so, its name does
    expect(half.required_features).toBeUndefined();
    expect(needsF16(half)).toBe(true);
    expect(filesUrl(half)).toBe(`https://huggingface.co/mlc-ai/${HALF}/resolve/main/`);
    expect(filesUrl(record('x', { model: 'https://a.invalid/x-1/resolve/main/' }))).toBe(
      'https://a.invalid/x-1/resolve/main/',
    );
    // every library of the list is of the version that this package runs
    for (const { model_lib } of real.prebuiltAppConfig.model_list)
      expect(model_lib).toContain(real.modelVersion);
  });

  it('shows one progress that never falls, through phases that restart', async () => {
    const { llm } = lab({ progress: [0, 0.4, 0.35, 1, 0, 0.5, 1, 0, 1] });
    const shares: number[] = [];
    await llm.load(BIG, { onProgress: ({ share }) => shares.push(share) });
    expect(shares).toEqual([...shares].sort((a, b) => a - b));
    expect(shares.at(-1)).toBe(1);
    expect(shares[3]).toBeCloseTo(1 / 3);
    const progress = new Progress();
    progress.next(1, '');
    expect(progress.next(NaN, '').share).toBeCloseTo(1 / 3);
  });

  it('ends a load that returns normally after it was stopped, as cancelled, with nothing on the GPU', async () => {
    const { llm, library } = lab({ loading: new Promise(() => {}), abortReturns: true });
    const abort = new AbortController();
    const loading = llm.load(BIG, { signal: abort.signal });
    await vi.waitFor(() => expect(llm.state).toEqual({ phase: 'loading', modelId: BIG }));
    abort.abort();
    await expect(loading).rejects.toMatchObject({ code: 'cancelled' });
    expect(llm.state).toEqual({ phase: 'empty' });
    expect(FakeEngine.live).toBe(0);
    expect(library.engines[0]!.calls).toContain('unload');
  });

  it('takes a load back that went on to its end in spite of the stop', async () => {
    const end = gate();
    const { llm } = lab({ loading: end.wait, deaf: true });
    const abort = new AbortController();
    const loading = llm.load(BIG, { signal: abort.signal });
    await vi.waitFor(() => expect(llm.state.phase).toBe('loading'));
    abort.abort();
    end.open();
    await expect(loading).rejects.toMatchObject({ code: 'cancelled' });
    expect(FakeEngine.live).toBe(0);
    await expect(chat(llm)).rejects.toMatchObject({ code: 'not-found' });
  });

  it('says lost when the GPU took the model back, and loads it again with a new engine', async () => {
    let dead = false;
    const { llm, library } = lab({ failCall: () => (dead ? modelNotLoaded() : null) });
    await llm.load(BIG);
    expect((await chat(llm)).text).toBe('I cannot help with that.');
    dead = true;
    await expect(chat(llm)).rejects.toMatchObject({
      code: 'device-lost',
      next: expect.stringContaining('again'),
    });
    expect(llm.state).toEqual({ phase: 'lost', modelId: BIG });
    await expect(chat(llm)).rejects.toMatchObject({ code: 'device-lost' });
    dead = false;
    await llm.load(BIG);
    expect(library.engines).toHaveLength(2);
    expect((await chat(llm)).ended).toBe(true);
  });

  it('builds a new engine after the program of one ended', async () => {
    let ends = true;
    const { llm, library } = lab({ failCall: () => (ends ? exited() : null) });
    await llm.load(BIG);
    await expect(chat(llm)).rejects.toMatchObject({ code: 'gpu-error' });
    expect(llm.state).toEqual({ phase: 'empty' });
    ends = false;
    await llm.load(BIG);
    await chat(llm);
    expect(library.engines).toHaveLength(2);
    expect(FakeEngine.most).toBe(1);
  });

  it('asks one thing at a time, and never holds two models', async () => {
    const { llm, library } = lab({ token: () => new Promise((resolve) => setTimeout(resolve, 1)) });
    await llm.load(BIG);
    const both = [
      chat(llm),
      chat(llm),
      llm.complete({ messages: [{ role: 'user', content: 'x' }] }, { maxTokens: 1, seed: 1 }),
    ];
    const next = llm.load(SMALL);
    await Promise.all(both);
    await next;
    expect(llm.state).toEqual({ phase: 'ready', modelId: SMALL });
    expect(FakeEngine.most).toBe(1);
    expect(library.engines[0]!.calls.at(-1)).toBe('unload');
  });

  it('answers an abort at once, drops tokens that come late, and lets the next question wait for the engine', async () => {
    const step = gate();
    let first = true;
    const script: Script = {
      answer: ['one ', 'two ', 'three '],
      lateTokens: 1,
      token: () => (first ? ((first = false), Promise.resolve()) : step.wait),
    };
    const { llm, library } = lab(script);
    await llm.load(BIG);
    const abort = new AbortController();
    const pieces: string[] = [];
    const answer = chat(llm, {
      signal: abort.signal,
      onText: (piece) => {
        pieces.push(piece);
        abort.abort();
      },
    });
    await expect(answer).rejects.toMatchObject({ code: 'cancelled' });
    expect(library.engines[0]!.calls).toContain('interrupt');
    // the engine is still at work: the next question waits, and gets its own tokens alone
    const second = chat(llm);
    step.open();
    expect((await second).text).toBe('one two three ');
    expect(pieces).toEqual(['one ']);
  });
});

describe('what stands against a model, before anything is started', () => {
  const refused = async (
    script: Script,
    o: Partial<WebLlmOptions>,
    id: string,
    most: number | null = null,
  ) => {
    const { llm, library } = lab(script, o);
    const error = (await llm.load(id, { most }).catch((e: unknown) => e)) as LabError;
    expect(error).toBeInstanceOf(LabError);
    expect(library.engines).toHaveLength(0);
    expect(llm.state).toEqual({ phase: 'empty' });
    return error;
  };

  it('a library of another version', async () => {
    const old = record('old', { model_lib: 'https://x.invalid/v0_2_48/base/old.wasm' });
    const error = await refused({ records: [old] }, {}, 'old');
    expect(error.message).toMatch(/v0_2_48\/base.*v0_2_86\/base/);
  });
  it('memory', async () => {
    expect((await refused({}, {}, BIG, 500 * 2 ** 20)).message).toBe(
      `'${BIG}' takes 1184 MB of GPU memory, and 524 MB are allowed.`,
    );
  });
  it('no 16-bit floats, no GPU, too small limits', async () => {
    const dull = { ...able, f16: false };
    expect((await refused({}, { adapter: async () => dull }, HALF)).message).toContain('shader-f16');
    expect(await refused({}, { adapter: async () => null }, BIG)).toMatchObject({ code: 'no-adapter' });
    const small = { ...able, limits: { ...LIMITS, maxComputeWorkgroupStorageSize: 16_384 } };
    expect((await refused({}, { adapter: async () => small }, BIG)).message).toContain('16384');
  });
  it('a model that is not in the list', async () => {
    expect(await refused({}, {}, 'nobody')).toMatchObject({ code: 'not-found' });
  });
  it('no connection and not whole in the cache', async () => {
    const error = await refused({}, { net: net({ online: () => false }) }, BIG);
    expect(error).toMatchObject({ code: 'network' });
  });
  it('a disk that has no room for its files, unless they are here', async () => {
    const full = (o: Partial<Net> = {}) => net({ free: () => Promise.resolve(1e6), ...o });
    const error = await refused({}, { net: full() }, BIG);
    expect(error).toMatchObject({ code: 'quota' });
    expect(error.message).toMatch(/take about \d+ MB, and the browser gives 1 MB more/);
    const asked = await refused(
      {},
      { net: full({ free: () => Promise.resolve(1e12), online: () => false }) },
      BIG,
    );
    expect(asked).toMatchObject({ code: 'network' });
  });
  it('a host that fails, that answers no, that never answers: in under 5 s', async () => {
    const failing = net({ fetch: async () => Promise.reject(new TypeError('Failed to fetch')) });
    expect((await refused({}, { net: failing }, BIG)).message).toContain(
      'models.lab.invalid cannot be reached',
    );
    const absent = net({ fetch: async () => new Response('', { status: 404 }) });
    expect((await refused({}, { net: absent }, BIG)).message).toContain('404');
    expect(PATIENCE_MS).toBeLessThan(5000);
    const begun = performance.now();
    const mute = net({
      fetch: (_url, { signal }) =>
        new Promise((_, reject) => signal!.addEventListener('abort', () => reject(signal!.reason as Error))),
    });
    expect(await refused({}, { net: mute }, BIG)).toMatchObject({ code: 'network' });
    expect(performance.now() - begun).toBeLessThan(5000);
  });
  it('asks no host when all is cached', async () => {
    const asked = vi.fn();
    const [one] = RECORDS;
    const files = new Set([`${filesUrl(one!)}mlc-chat-config.json`, one!.model_lib]);
    const { llm } = lab(
      { cached: [BIG] },
      { net: net({ fetch: asked, cached: async () => files, online: () => false }) },
    );
    await llm.load(BIG);
    expect(asked).not.toHaveBeenCalled();
    expect((await llm.models()).filter((m) => m.cached).map((m) => m.id)).toEqual([BIG]);
  });
});

describe('what fails while a model loads', () => {
  it.each([
    ['QuotaExceededError', 'quota', 'quota'],
    ['LinkError', 'import object field', 'bad-input'],
    ['DeviceLostError', 'lost', 'out-of-memory'],
    ['TypeError', 'Failed to fetch', 'network'],
    ['IntegrityError', 'sha256', 'wrong-hash'],
    ['ShaderF16SupportError', 'f16', 'bad-input'],
    ['Error', 'anything', 'gpu-error'],
  ])('%s is said in words', async (name, message, code) => {
    const { llm } = lab({ failReload: () => Object.assign(new Error(message), { name }) });
    const error = (await llm.load(BIG).catch((e: unknown) => e)) as LabError;
    expect(error).toMatchObject({ code });
    expect(error.message).toContain(BIG);
    expect(error.safe).not.toBe('');
    expect(error.next).not.toBe('');
    expect(llm.state).toEqual({ phase: 'empty' });
  });
});

describe('the model that is suggested', () => {
  const model = (id: string, megabytes: number, more: Partial<LlmModel> = {}): LlmModel => ({
    ...{ id, kind: 'chat', bytes: megabytes * 2 ** 20, f16: /f16/.test(id), cached: false, own: false },
    ...more,
  });
  const all = [
    model('Llama-3.2-3B-Instruct-q4f16_1-MLC', 2264),
    model('Llama-3.2-1B-Instruct-q4f16_1-MLC', 879),
    model('Llama-3.2-1B-Instruct-q4f32_1-MLC', 1129),
    model('SmolLM2-135M-Instruct-q0f32-MLC', 719),
    model('embed-m', 500, { kind: 'embedding' }),
    model('embed-s', 239, { kind: 'embedding' }),
  ];
  it('is the best that fits in the memory and on the GPU', () => {
    expect(suggested(all, 'chat', { most: null, f16: true })).toBe('Llama-3.2-3B-Instruct-q4f16_1-MLC');
    expect(suggested(all, 'chat', { most: 1200 * 2 ** 20, f16: true })).toBe(
      'Llama-3.2-1B-Instruct-q4f16_1-MLC',
    );
    expect(suggested(all, 'chat', { most: 1200 * 2 ** 20, f16: false })).toBe(
      'Llama-3.2-1B-Instruct-q4f32_1-MLC',
    );
    expect(suggested(all, 'chat', { most: 800 * 2 ** 20, f16: false })).toBe(
      'SmolLM2-135M-Instruct-q0f32-MLC',
    );
    expect(suggested(all, 'chat', { most: 2 ** 20, f16: true })).toBeNull();
    expect(suggested(all, 'embedding', { most: null, f16: true })).toBe('embed-s');
  });
  it('is one that is here already, where there is one', () => {
    const here = all.map((m) => (m.bytes === 719 * 2 ** 20 ? { ...m, cached: true } : m));
    expect(suggested(here, 'chat', { most: null, f16: true })).toBe('SmolLM2-135M-Instruct-q0f32-MLC');
  });
  it('is never a checkpoint of the lab, though it is here and has the name of its base', () => {
    const attacked = model('SmolLM2-135M-Instruct, MFT (q0f32, 01234567)', 719, { cached: true, own: true });
    expect(suggested([attacked, ...all], 'chat', { most: null, f16: true })).toBe(
      'Llama-3.2-3B-Instruct-q4f16_1-MLC',
    );
    expect(suggested([attacked], 'chat', { most: null, f16: true })).toBeNull();
  });
});
