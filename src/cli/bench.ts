/**
 * npm run bench -- [--json] [--config nano|small|all] [--steps N]
 *
 * Time of one full-parameter training step (forward, loss, backward, AdamW) on two fixed models. Weights and batch come
 * from a fixed generator that any other engine can repeat (see benchWeights), so losses can be laid side by side.
 */
import { parseArgs } from 'node:util';
import { parseLlamaConfig, tensorShapes } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import type { Batch, Tensors } from '../core/types.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { Model } from '../model/model.ts';
import { Trainer } from '../train/trainer.ts';
import { openNodeGpu } from './node-gpu.ts';

interface BenchConfig {
  hidden: number;
  layers: number;
  heads: number;
  kvHeads: number;
  ff: number;
  vocab: number;
  seq: number;
  rows: number;
}

const CONFIGS: Record<string, BenchConfig> = {
  nano: { hidden: 128, layers: 4, heads: 4, kvHeads: 2, ff: 352, vocab: 1024, seq: 128, rows: 8 },
  small: { hidden: 256, layers: 6, heads: 8, kvHeads: 4, ff: 688, vocab: 2048, seq: 256, rows: 4 },
};

/** Weight decay on matrices only, no clipping. */
const OPTIM = { betas: [0.9, 0.95] as [number, number], eps: 1e-8, weight_decay: 0.1, clip: 0 };
const LR = 1e-3;
const WARM_UP_STEPS = 3;

/** Marsaglia's xorshift32 (13, 17, 5) as a fraction of 2^32. */
function xorshift32(seed: number): () => number {
  let x = seed >>> 0 || 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}

/**
 * Initial weights from seed 7: tensors in the order embedding, then per layer input norm, q, k, v, o, post-attention norm,
 * gate, up, down, then the final norm. Matrices are drawn input-major (the embedding token-major), each value as the sum
 * of four uniforms less two, times sqrt(3) * 0.02, with o and down divided by sqrt(2 layers); norms are 1.
 */
export function benchWeights(c: BenchConfig): Tensors {
  const uniform = xorshift32(7);
  const out: Tensors = new Map();
  const draw = (std: number): number => (uniform() + uniform() + uniform() + uniform() - 2) * 1.7320508 * std;
  const norm = (name: string): unknown =>
    out.set(name, { shape: [c.hidden], data: new Float32Array(c.hidden).fill(1) });
  const linear = (name: string, inputs: number, outputs: number, std = 0.02): void => {
    const data = new Float32Array(inputs * outputs);
    for (let i = 0; i < inputs; i++) for (let o = 0; o < outputs; o++) data[o * inputs + i] = draw(std);
    out.set(name, { shape: [outputs, inputs], data });
  };
  const embedding = new Float32Array(c.vocab * c.hidden).map(() => draw(0.02));
  out.set('model.embed_tokens.weight', { shape: [c.vocab, c.hidden], data: embedding });
  const kv = (c.hidden / c.heads) * c.kvHeads;
  const residual = 0.02 * (1 / Math.sqrt(2 * c.layers));
  for (let l = 0; l < c.layers; l++) {
    const layer = `model.layers.${l}`;
    norm(`${layer}.input_layernorm.weight`);
    linear(`${layer}.self_attn.q_proj.weight`, c.hidden, c.hidden);
    linear(`${layer}.self_attn.k_proj.weight`, c.hidden, kv);
    linear(`${layer}.self_attn.v_proj.weight`, c.hidden, kv);
    linear(`${layer}.self_attn.o_proj.weight`, c.hidden, c.hidden, residual);
    norm(`${layer}.post_attention_layernorm.weight`);
    linear(`${layer}.mlp.gate_proj.weight`, c.hidden, c.ff);
    linear(`${layer}.mlp.up_proj.weight`, c.hidden, c.ff);
    linear(`${layer}.mlp.down_proj.weight`, c.ff, c.hidden, residual);
  }
  norm('model.norm.weight');
  return out;
}

/**
 * Rows of seq + 1 tokens from seed 11: a token follows its predecessor t as (31 t + 17) mod vocab with probability 3/4,
 * else it is drawn at random. The last token is only a target; its own position changes no loss.
 */
export function benchBatch(c: BenchConfig): Batch {
  const uniform = xorshift32(11);
  const any = (): number => Math.floor(uniform() * c.vocab);
  return Array.from({ length: c.rows }, () => {
    let token = any();
    const ids = Array.from({ length: c.seq + 1 }, () => {
      const now = token;
      token = uniform() < 0.75 ? (token * 31 + 17) % c.vocab : any();
      return now;
    });
    return { ids, labels: ids };
  });
}

/** Multiply-adds of a training step counted as two operations each: linears and causal attention, backward = twice forward. */
export function stepFlops(c: BenchConfig): number {
  const headDim = c.hidden / c.heads;
  const tokens = c.rows * c.seq;
  const layer = 2 * c.hidden * c.hidden + 2 * c.hidden * headDim * c.kvHeads + 3 * c.hidden * c.ff;
  const linears = 2 * tokens * (c.layers * layer + c.vocab * c.hidden);
  const attention = (c.layers * 2 * c.rows * c.heads * c.seq * c.seq * headDim * 2) / 2;
  return 3 * (linears + attention);
}

export interface BenchResult {
  config: string;
  adapter: string;
  /** Wall milliseconds of a step, mean after warm-up. */
  msPerStep: number;
  /** User and system time of this process; on a software adapter that includes the "GPU". */
  cpuMsPerStep: number;
  tokPerS: number;
  gflops: number;
  dispatches: number;
  submits: number;
  /** Before each update. */
  losses: number[];
}

/** Trains `steps` steps; the first three are left out of the times. */
export async function bench(gpu: Gpu, name: string, steps: number): Promise<BenchResult> {
  const c = CONFIGS[name];
  if (!c)
    throw new LabError('bad-input', `There is no bench config "${name}".`, {
      next: `Known: ${Object.keys(CONFIGS).join(', ')}.`,
    });
  const config = parseLlamaConfig({
    model_type: 'llama',
    vocab_size: c.vocab,
    hidden_size: c.hidden,
    intermediate_size: c.ff,
    num_hidden_layers: c.layers,
    num_attention_heads: c.heads,
    num_key_value_heads: c.kvHeads,
    hidden_act: 'silu',
    max_position_embeddings: c.seq + 1,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    bos_token_id: 0,
    eos_token_id: 0,
    pad_token_id: 0,
  });
  const weights = benchWeights(c);
  for (const tensor of tensorShapes(config).keys())
    if (!weights.has(tensor)) throw new LabError('bad-config', `The bench has no weights for ${tensor}.`);
  const model = Model.create(gpu, config, weights);
  const tokens = c.rows * (c.seq + 1);
  const trainer = new Trainer(model, OPTIM, { maxTokens: tokens, maxLabels: c.rows * c.seq });
  const losses: number[] = [];
  trainer.onStats = (s) => losses.push(s.loss);
  const batch = benchBatch(c);
  try {
    for (let i = 0; i < WARM_UP_STEPS; i++) await trainer.step([batch], LR);
    await trainer.flush();
    const cpu = process.cpuUsage();
    const { dispatches, submits } = gpu.stats;
    const start = performance.now();
    const timed = steps - WARM_UP_STEPS;
    for (let i = 0; i < timed; i++) await trainer.step([batch], LR);
    await trainer.flush();
    const ms = (performance.now() - start) / timed;
    const used = process.cpuUsage(cpu);
    return {
      config: name,
      adapter: gpu.info.description,
      msPerStep: round(ms),
      cpuMsPerStep: round((used.user + used.system) / 1000 / timed),
      tokPerS: round((c.rows * c.seq * 1000) / ms),
      gflops: round(stepFlops(c) / ms / 1e6),
      dispatches: round((gpu.stats.dispatches - dispatches) / timed),
      submits: round((gpu.stats.submits - submits) / timed),
      losses: losses.map((x) => round(x, 6)),
    };
  } finally {
    trainer.destroy();
    model.destroy();
  }
}

const round = (x: number, digits = 4): number => Number(x.toPrecision(digits));

export async function main(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      json: { type: 'boolean', default: false },
      config: { type: 'string', default: 'all' },
      steps: { type: 'string', default: '30' },
    },
  });
  const steps = Number(values.steps);
  if (!Number.isInteger(steps) || steps <= WARM_UP_STEPS)
    throw new LabError(
      'bad-input',
      `--steps wants a whole number above ${WARM_UP_STEPS}, not "${values.steps}".`,
    );
  const gpu = await openNodeGpu();
  for (const name of values.config === 'all' ? Object.keys(CONFIGS) : [values.config]) {
    const r = await bench(gpu, name, steps);
    process.stdout.write(
      values.json
        ? `${JSON.stringify(r)}\n`
        : `${r.config} on ${r.adapter}: ${r.msPerStep} ms a step (CPU ${r.cpuMsPerStep} ms), ${r.tokPerS} tokens/s, ` +
            `${r.gflops} GFLOP/s, ${r.dispatches} dispatches, loss ${r.losses[0]} -> ${r.losses.at(-1)} in ${steps} steps\n`,
    );
  }
  return 0;
}
