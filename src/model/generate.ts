import type { LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import { Rng } from '../core/rng.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { encodeInPieces, Program } from '../gpu/program.ts';
import { range, type Dims } from '../kernels/common.ts';
import { Activations, widths } from './activations.ts';
import { PackedBatch } from './batch.ts';
import { forwardOps } from './forward.ts';
import { LogitsReader, makeHead, selectOps, type Head, type LogitsPiece } from './head.ts';
import { loraStack } from './lora-ops.ts';
import type { Model } from './model.ts';
import { alternatives, draw, rowLogprobs, type Sampling } from './sampling.ts';

export interface GenOptions {
  maxNewTokens: number;
  /** Ends a row, or any of several do; it is the row's last token then. */
  eos: number | ReadonlySet<number>;
  /** 0 (default): greedy. */
  temperature?: number;
  /** Keep the k likeliest tokens; 0 or absent: all. */
  topK?: number;
  /** Keep the likeliest tokens up to this sum of probability. */
  topP?: number;
  /** Same seed, same tokens; each row draws from its own stream. */
  seed?: number;
  /** Alternatives reported per token, at most 8. */
  topAlternatives?: number;
  onToken?: (row: number, token: GenToken) => void;
  signal?: AbortSignal | undefined;
}

export interface TokenChance {
  id: number;
  /** Natural logarithm of the model's probability, at temperature 1. */
  logprob: number;
}

export interface GenToken extends TokenChance {
  /** The likeliest tokens here, best first; empty unless asked for. */
  top: TokenChance[];
}

/** Tokens decoded between two readbacks. Longer: fewer waits, more tokens computed for rows that have ended. */
const STEPS_PER_READ = 8;
const MOST_ALTERNATIVES = 8;
/** Prompt tokens that one prefill pass takes at most, unless a single prompt is longer. */
const PREFILL_TOKENS = 1024;

/** Tokens of one prefill pass: as many as one binding holds of the widest activation, unless a single prompt is longer. */
export function prefillTokens(
  config: LlamaConfig,
  { maxSeqs, maxLen }: { maxSeqs: number; maxLen: number },
  bindingBytes: number,
): number {
  const w = widths(config);
  const bindable = bindingBytes / 4 / Math.max(w.hidden, w.qkv, w.attn, 2 * w.mlp);
  const part = Math.floor(Math.min(PREFILL_TOKENS, bindable));
  return Math.min(Math.max(part, maxLen), maxSeqs * maxLen);
}

interface Row {
  /** Its number among the prompts, and its place in the cache. */
  index: number;
  /** Position of the token that is fed next. */
  pos: number;
  id: number;
}

/**
 * Answers to many prompts at once, with a key/value cache. Greedy choices are made on the GPU, several tokens between two
 * readbacks of a few bytes; sampling reads the logits back, so that top-k and top-p are exact.
 */
/** What can be asked: a generator, or one that waits for its turn. */
export type Answerer = Pick<Generator, 'cap' | 'generate'>;

export class Generator {
  readonly model: Model;
  readonly cap: { maxSeqs: number; maxLen: number };
  private readonly gpu: Gpu;
  private readonly cache: GPUBuffer[];
  private readonly prompts: PackedBatch;
  private readonly promptActs: Activations;
  private readonly acts: Activations;
  private readonly prefill: Program<Dims>;
  private readonly decode: Program<Dims>;
  private readonly head: Head;
  private readonly logits: LogitsReader;
  private readonly ids: GPUBuffer;
  private readonly tokens: GPUBuffer;
  private readonly rows: GPUBuffer;
  private readonly picks: GPUBuffer;
  private readonly seen: GPUBuffer;
  private readonly selects = new Map<number, Program<Dims & { step: number }>[]>();
  private readonly prefillTokens: number;

  /**
   * @param cap prompts at once, and positions per row (prompt and answer), at most the model's positions; `logits`: largest piece
   * of logits held at once, chosen by size where absent
   */
  constructor(model: Model, cap: { maxSeqs: number; maxLen: number; logits?: Partial<LogitsPiece> }) {
    const { gpu, config } = model;
    this.model = model;
    this.gpu = gpu;
    this.cap = { maxSeqs: cap.maxSeqs, maxLen: Math.min(cap.maxLen, config.max_position_embeddings) };
    const { maxSeqs, maxLen } = this.cap;
    const kv = 2 * config.num_key_value_heads * config.head_dim;
    this.cache = Array.from({ length: config.num_hidden_layers }, (_, l) =>
      gpu.buffer(`cache ${l}`, maxSeqs * maxLen * kv * 4),
    );
    const layers = this.cache.map((buffer) => ({ buffer }));
    const { weights: params, ropeTable } = model;

    this.prefillTokens = prefillTokens(config, this.cap, gpu.info.limits.maxStorageBufferBindingSize);
    const promptCap = { maxTokens: this.prefillTokens, maxRows: maxSeqs };
    this.prompts = new PackedBatch(gpu, promptCap, config);
    this.promptActs = new Activations(gpu, config, promptCap, 'nothing');
    const shared = { gpu, config, params, ropeTable };
    const lora = (acts: Activations, tokens: number) =>
      model.adapters.length > 0 && { lora: loraStack(acts, config, model.adapters, tokens) };
    const at = { layers, positions: maxLen };
    this.prefill = new Program(
      gpu,
      'prefill',
      forwardOps({
        ...shared,
        ...lora(this.promptActs, promptCap.maxTokens),
        acts: this.promptActs,
        input: this.prompts,
        cache: { ...at, decode: false },
      }),
    );

    this.ids = gpu.buffer('next ids', maxSeqs * 4);
    this.tokens = gpu.buffer('next tokens', maxSeqs * 16);
    this.rows = gpu.buffer('rows', maxSeqs * 4);
    this.picks = gpu.buffer('picks', STEPS_PER_READ * maxSeqs * MOST_ALTERNATIVES * 8);
    gpu.device.queue.writeBuffer(
      this.rows,
      0,
      Uint32Array.from({ length: maxSeqs }, (_, i) => i),
    );
    this.acts = new Activations(gpu, config, { maxTokens: maxSeqs, maxRows: maxSeqs }, 'nothing');
    this.head = makeHead(gpu, config, params, this.acts, maxSeqs, cap.logits, true);
    this.logits = new LogitsReader(this.head);
    // room for the longest list of alternatives
    this.seen = gpu.buffer('choices', 2 * maxSeqs * (MOST_ALTERNATIVES + 1) * 8);
    const input = {
      ids: range(this.ids, 0, maxSeqs),
      tokens: range(this.tokens, 0, maxSeqs * 4),
      rows: range(this.rows, 0, maxSeqs),
    };
    this.decode = new Program(
      gpu,
      'decode',
      forwardOps({
        ...shared,
        ...lora(this.acts, maxSeqs),
        acts: this.acts,
        input,
        cache: { ...at, decode: true },
      }),
    );
  }

  /**
   * Continues every prompt until its end-of-turn token, maxNewTokens, or the last position.
   * @returns per prompt its new tokens, the end-of-turn token included
   * @throws LabError 'bad-input' on too many, empty or too long prompts, 'cancelled' when the signal fires
   */
  async generate(prompts: readonly (readonly number[])[], o: GenOptions): Promise<GenToken[][]> {
    this.check(prompts);
    const out: GenToken[][] = prompts.map(() => []);
    if (prompts.length === 0) return out;
    const steps = o.maxNewTokens;
    if (steps <= 0) return out;
    this.fill(prompts);
    const rows = prompts.map((p, index) => ({ index, pos: p.length - 1, id: 0 }));
    const ends = typeof o.eos === 'number' ? new Set([o.eos]) : o.eos;
    const take = (row: Row, token: GenToken): boolean => {
      if (!Number.isFinite(token.logprob)) throw notFinite();
      out[row.index]!.push(token);
      o.onToken?.(row.index, token);
      row.pos++;
      row.id = token.id;
      return !ends.has(token.id) && row.pos < this.cap.maxLen;
    };
    if ((o.temperature ?? 0) > 0) await this.sample(rows, steps, o, take);
    else await this.greedy(rows, steps, o, take);
    return out;
  }

  destroy(): void {
    for (const program of [this.prefill, this.decode, this.logits, ...[...this.selects.values()].flat()])
      program.destroy();
    for (const buffer of [...this.cache, this.ids, this.tokens, this.rows, this.picks, this.seen])
      this.gpu.free(buffer);
    this.promptActs.destroy();
    this.acts.destroy();
    this.prompts.destroy();
  }

  /** Runs all prompts, in parts that fit; leaves keys and values in the cache and what the head takes of each row in `acts`. */
  private fill(prompts: readonly (readonly number[])[]): void {
    const rowBytes = this.model.config.hidden_size * 4;
    for (let from = 0; from < prompts.length;) {
      let to = from;
      for (let sum = 0; to < prompts.length && sum + prompts[to]!.length <= this.prefillTokens; to++)
        sum += prompts[to]!.length;
      const part = prompts.slice(from, to).map((ids) => ({ ids, labels: [] }));
      this.prefill.prepare({ ...this.prompts.write(part, 'last', from), scale: 0 });
      const encoder = encodeInPieces(this.gpu, this.gpu.device.createCommandEncoder(), [this.prefill]);
      encoder.copyBufferToBuffer(
        this.promptActs.rowNorm.buffer,
        0,
        this.acts.rowNorm.buffer,
        from * rowBytes,
        (to - from) * rowBytes,
      );
      this.gpu.submit(encoder);
      from = to;
    }
  }

  private async greedy(
    all: Row[],
    steps: number,
    o: GenOptions,
    take: (row: Row, token: GenToken) => boolean,
  ): Promise<void> {
    const wanted = Math.min(o.topAlternatives ?? 0, MOST_ALTERNATIVES);
    const top = Math.min(wanted > 1 ? MOST_ALTERNATIVES : 1, this.model.config.vocab_size);
    const selects = await this.selectPrograms(top);
    let rows = all;
    let forwarded = true; // the prompts' hidden states are there
    this.writeRows(rows);
    for (let done = 0; done < steps && rows.length > 0;) {
      throwIfAborted(o.signal);
      // a row at its last position must end before it would write into its neighbour's cache
      const room = this.cap.maxLen - Math.max(...rows.map((row) => row.pos));
      const count = Math.min(STEPS_PER_READ, steps - done, room);
      const dims = decodeDims(rows);
      this.decode.prepare(dims);
      for (let step = 0; step < count; step++) selects[step]!.prepare({ ...dims, step });
      const programs = selects
        .slice(0, count)
        .flatMap((select, step) => (step === 0 && forwarded ? [select] : [this.decode, select]));
      forwarded = false;
      this.gpu.submit(encodeInPieces(this.gpu, this.gpu.device.createCommandEncoder(), programs));
      const words = new DataView(await this.gpu.read(this.picks, 0, count * rows.length * top * 8));
      const going = new Set(rows);
      for (let step = 0; step < count; step++) {
        rows.forEach((row, r) => {
          if (!going.has(row)) return;
          const chances = Array.from({ length: top }, (_, k) => {
            const at = ((step * rows.length + r) * top + k) * 8;
            return { id: words.getUint32(at, true), logprob: words.getFloat32(at + 4, true) };
          });
          if (!take(row, { ...chances[0]!, top: chances.slice(0, wanted) })) going.delete(row);
        });
      }
      done += count;
      if (going.size < rows.length) {
        rows = rows.filter((row) => going.has(row));
        this.writeRows(rows);
      }
    }
  }

  private async sample(
    all: Row[],
    steps: number,
    o: GenOptions,
    take: (row: Row, token: GenToken) => boolean,
  ): Promise<void> {
    const { vocab_size: vocab } = this.model.config;
    const sampling: Sampling = { temperature: o.temperature!, topK: o.topK ?? 0, topP: o.topP ?? 1 };
    const rngs = all.map((_, i) => new Rng(`${o.seed ?? 0}/${i}`));
    let rows = all;
    for (let done = 0; done < steps && rows.length > 0; done++) {
      throwIfAborted(o.signal);
      const dims = decodeDims(rows);
      if (done > 0) {
        this.writeRows(rows);
        this.decode.run(dims);
      }
      const logits = await this.logits.read(dims);
      rows = rows.filter((row, r) => {
        const logprobs = rowLogprobs(logits.subarray(r * vocab, (r + 1) * vocab));
        const id = draw(logprobs, sampling, rngs[row.index]!);
        return take(row, {
          id,
          logprob: logprobs[id]!,
          top: alternatives(logprobs, Math.min(o.topAlternatives ?? 0, MOST_ALTERNATIVES)),
        });
      });
    }
  }

  /** The state of the rows that go on: next id and position each. */
  private writeRows(rows: readonly Row[]): void {
    const { queue } = this.gpu.device;
    queue.writeBuffer(
      this.ids,
      0,
      Uint32Array.from(rows, (row) => row.id),
    );
    queue.writeBuffer(this.tokens, 0, Uint32Array.from(rows.flatMap((row) => [row.pos, 0, 0, row.index])));
  }

  private async selectPrograms(top: number): Promise<Program<Dims & { step: number }>[]> {
    let programs = this.selects.get(top);
    if (!programs) {
      const { maxSeqs } = this.cap;
      const ops = selectOps(this.head, {
        seen: { buffer: this.seen },
        ids: range(this.ids, 0, maxSeqs),
        tokens: range(this.tokens, 0, maxSeqs * 4),
        picks: { buffer: this.picks },
        top,
      });
      programs = await this.gpu.allocate(() =>
        Array.from({ length: STEPS_PER_READ }, () => new Program(this.gpu, 'select', ops)),
      );
      this.selects.set(top, programs);
    }
    return programs;
  }

  private check(prompts: readonly (readonly number[])[]): void {
    const { maxSeqs, maxLen } = this.cap;
    const next = { safe: 'Nothing was changed.', next: 'Ask for fewer or shorter prompts.' };
    if (prompts.length > maxSeqs)
      throw new LabError(
        'bad-input',
        `${prompts.length} prompts at once; there is room for ${maxSeqs}.`,
        next,
      );
    for (const prompt of prompts) {
      if (prompt.length === 0) throw new LabError('bad-input', 'A prompt is empty.', next);
      if (prompt.length > maxLen)
        throw new LabError('bad-input', `A prompt has ${prompt.length} tokens; ${maxLen} fit.`, next);
    }
  }
}

/** Of one token a row; while several are decoded at once, pairs are those of the first. */
function decodeDims(rows: readonly Row[]): Dims {
  const pairs = rows.reduce((sum, row) => sum + row.pos + 1, 0);
  return { tokens: rows.length, rows: rows.length, distinct: 0, pairs, scale: 0 };
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new LabError('cancelled', 'The answer was stopped.', { safe: 'Everything saved is whole.' });
}

function notFinite(): LabError {
  return new LabError('non-finite', 'This model gives numbers that are not finite, so it has no answer.', {
    safe: 'Everything saved is whole.',
    next: 'Use a checkpoint from before its training went wrong.',
  });
}
