/**
 * Opt-in: the real embedding engine of WebLLM in the built page, on generated weights. WEBLLM_LIB names the compiled library of
 * snowflake-arctic-embed-s-q0f32-MLC-b4; all other files are made here and put under the addresses that WebLLM will ask for, so that no
 * host is needed. Weights without meaning must fail the self-test's margin, and a text must still equal itself.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prebuiltAppConfig } from '@mlc-ai/web-llm';
import { inventedFile } from '../../src/cli/data-rows.ts';
import { Rng } from '../../src/core/rng.ts';
import { filesUrl } from '../../src/llm/models.ts';
import { Lab } from './browser.ts';

const MODEL = 'snowflake-arctic-embed-s-q0f32-MLC-b4';
const library = process.env.WEBLLM_LIB;
if (!library)
  console.warn('    SKIPPED: the real embedding engine was not run (WEBLLM_LIB names no library).');

interface Param {
  name: string;
  shape: number[];
  dtype: string;
}

/** The list of parameters that a library holds as JSON, found by a scan of its bytes. */
function paramsOf(wasm: Buffer): Param[] {
  const text = wasm.toString('latin1');
  for (let at = text.indexOf('"params"'); at >= 0; at = text.indexOf('"params"', at + 1)) {
    const begin = text.indexOf('[', at);
    for (
      let end = text.indexOf(']}', begin);
      end >= 0 && end < begin + 1e6;
      end = text.indexOf(']', end + 1)
    ) {
      try {
        const found = JSON.parse(text.slice(begin, end + 1)) as Param[];
        if (found[0]?.name) return found;
      } catch {
        // a bracket within: the list ends later
      }
    }
  }
  throw new Error('WEBLLM_LIB has no list of parameters');
}

/** Letters, whole and within words, after BERT's marks. */
function tokenizerJsonOf(): string {
  const marks = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
  const letters = [...'abcdefghijklmnopqrstuvwxyz0123456789.,:;?!\'"()-'];
  const tokens = [...marks, ...letters, ...letters.map((x) => `##${x}`)];
  const added = marks.map((content, id) => ({
    ...{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
  }));
  return JSON.stringify({
    ...{ version: '1.0', truncation: null, padding: null, added_tokens: added, post_processor: null },
    normalizer: {
      ...{
        type: 'BertNormalizer',
        clean_text: true,
        handle_chinese_chars: true,
        strip_accents: null,
        lowercase: true,
      },
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      ...{
        type: 'WordPiece',
        unk_token: '[UNK]',
        continuing_subword_prefix: '##',
        max_input_chars_per_word: 100,
      },
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
    },
  });
}

describe.skipIf(!library)('the real embedding engine, with generated weights', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start({ path: '#/data' });
  });
  afterAll(() => lab?.close());

  test('answers in the built page; weights without meaning are found unreliable, and words compare instead', async () => {
    const wasm = readFileSync(library!);
    const record = prebuiltAppConfig.model_list.find((m) => m.model_id === MODEL)!;
    const files = filesUrl(record);
    const put = (cache: string, url: string, bytes: Buffer): Promise<void> =>
      lab.page.evaluate(
        async ({ cache, url, base64 }) => {
          const body = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
          await (await caches.open(cache)).put(url, new Response(body));
        },
        { cache, url, base64: bytes.toString('base64') },
      );
    const rng = new Rng('webllm-lib');
    const params = paramsOf(wasm);
    const records: unknown[] = [];
    for (const [i, { name, shape, dtype }] of params.entries()) {
      expect(dtype, name).toBe('float32');
      const one = /norm.*weight$/i.test(name);
      const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () =>
        one ? 1 : 0.08 * (rng.next() - 0.5),
      );
      const bytes = Buffer.from(data.buffer);
      const dataPath = `params_shard_${i}.bin`;
      await put('webllm/model', `${files}${dataPath}`, bytes);
      const entry = { name, shape, dtype, format: 'raw', nbytes: bytes.length, byteOffset: 0 };
      records.push({ dataPath, format: 'raw-shard', nbytes: bytes.length, records: [entry] });
    }
    const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
    await put(
      'webllm/model',
      `${files}tensor-cache.json`,
      json({ metadata: { ParamSize: params.length }, records }),
    );
    await put('webllm/model', `${files}tokenizer.json`, Buffer.from(tokenizerJsonOf()));
    const config = {
      ...{ model_type: 'bert', context_window_size: 512, prefill_chunk_size: 512, sliding_window_size: -1 },
      ...{ tokenizer_files: ['tokenizer.json'], vocab_size: 30522 },
    };
    await put('webllm/config', `${files}mlc-chat-config.json`, json(config));
    await put('webllm/wasm', record.model_lib, wasm);

    const main = lab.page.getByRole('main');
    const bring = async (name: string, text: string): Promise<void> => {
      const file = { name, mimeType: 'application/octet-stream', buffer: Buffer.from(text) };
      await main.getByLabel('Choose a file', { exact: true }).last().setInputFiles(file);
      await main.getByRole('button', { name: 'Import it' }).click();
      await main.getByText(new RegExp(`^Imported: ${name}`)).waitFor();
    };
    await bring('harmful.jsonl', [...inventedFile('beavertails', { rows: 60, seed: 1 })].join(''));
    await bring('alpaca.json', [...inventedFile('alpaca', { rows: 80, seed: 2 })].join(''));
    await main.getByRole('link', { name: 'Build pairs of these sets' }).click();
    await main.getByRole('checkbox', { name: 'Harmful instructions: harmful.jsonl', exact: true }).check();
    await main.getByRole('checkbox', { name: 'Good answers: alpaca.json', exact: true }).check();
    await main.getByLabel('Compared by').selectOption('webllm');
    await main.getByRole('button', { name: 'List WebLLM’s models' }).click();
    await main.getByLabel('Embedding model').selectOption(MODEL);
    await main.getByRole('button', { name: 'Build the pairs', exact: true }).click();
    const said = main.getByText(/^The embeddings failed their self-test/);
    await said.waitFor({ timeout: 300_000 });
    expect(await said.innerText()).toMatch(/a text with itself (1|0\.9999)/);
    expect(await main.getByRole('alert').count()).toBe(0);
  });
});
