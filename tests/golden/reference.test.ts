import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseLlamaConfig } from '../../src/core/config.ts';
import { lrAt } from '../../src/core/schedule.ts';
import { loadTensors } from '../../src/model/hf.ts';
import { readSafetensors } from '../../src/model/safetensors.ts';
import * as ref from '../../src/reference/llama.ts';
import { relError, trimRows, unpad, updateError, type PaddedBatch } from '../../src/selfcheck/compare.ts';
import { caseDirOr, readJson } from './golden-dir.ts';

interface Meta {
  optimizer?: {
    lr: number;
    betas: [number, number];
    eps: number;
    clip: number;
    weight_decay: number;
    total_steps: number;
    warmup_steps: number;
  };
  perturbation_variants?: Record<string, { attn: number[]; hidden: number[] }>;
}
interface Continuation {
  prompt_ids: number[];
  continuation_ids?: number[];
  top5_ids: number[][];
  top5_logprobs: number[][];
}

/** Expected values are float64 results rounded to float32: 6e-8 of each element. */
const TOL = 2e-7;
const UPDATE_TOL = 2e-4;

function load(dir: string) {
  const config = parseLlamaConfig(readJson(dir, 'config.json'));
  const tensorsOf = (name: string) => readSafetensors(new Uint8Array(readFileSync(join(dir, name)))).tensors;
  const weights = [new Uint8Array(readFileSync(join(dir, 'model.safetensors')))];
  const params = ref.toParams(loadTensors(config, { config, weights }));
  const expected = tensorsOf('expected.safetensors');
  const stored = readJson(dir, 'batch.json') as PaddedBatch | { micro_batches: PaddedBatch[] };
  const padded = 'micro_batches' in stored ? stored.micro_batches : [stored];
  const want = (name: string): Float32Array => expected.get(name)!.data;
  return { config, params, expected, want, padded, tensorsOf, meta: readJson(dir, 'meta.json') as Meta };
}

const check = (what: string, actual: Float64Array | number[], expected: Float32Array, tol = TOL): void => {
  const error = relError(Float64Array.from(actual), expected);
  expect(error, what).toBeLessThan(tol);
};

describe('the float64 reference equals the golden values', () => {
  it.for([
    'A_gqa_padded',
    'B_headdim_untied',
    'C_tied_llama3rope_mqa',
    'E_grad_accum',
    'H_long',
    'R_stories260k',
  ])('case %s: forward, gradients, training steps', (name, { skip }) => {
    const dir = caseDirOr(skip, name, 'the reference on it');
    const { config, params, expected, want, padded, meta } = load(dir);
    const micro = padded.map(trimRows);
    micro.forEach((batch, i) => {
      const suffix = expected.has('logits') ? '' : `.${i}`;
      const f = ref.forward(config, params, batch);
      check('logits', f.logits, unpad(want(`logits${suffix}`), padded[i]!, config.vocab_size));
      check('token_loss', f.tokenLoss, unpad(want(`token_loss${suffix}`), padded[i]!, 1));
    });
    const { loss, grads, gradNorm } = ref.gradient(config, params, micro);
    check('loss', [loss], want('loss'));
    check('grad_norm', [gradNorm], want('grad_norm'));
    for (const [p, g] of grads) check(`grad.${p}`, g, want(`grad.${p}`));

    const o = meta.optimizer;
    if (!o) return;
    const initial = new Map([...params].map(([p, x]) => [p, x.slice()]));
    const state = ref.newOptimState(params);
    const schedule = { warmup: o.warmup_steps, hold: 0, decay: 'cosine', floor: 0 } as const;
    const losses: number[] = [];
    const norms: number[] = [];
    for (let step = 1; step <= 5; step++) {
      const stats = ref.trainStep(
        config,
        params,
        state,
        micro,
        o,
        lrAt(schedule, o.lr, step - 1, o.total_steps),
      );
      losses.push(stats.loss);
      norms.push(stats.gradNorm);
      if (step === 1 || step === 5)
        for (const [p, x] of params) {
          const error = updateError(x, want(`step${step}.${p}`), initial.get(p)!, want(`grad.${p}`));
          expect(error, `step${step}.${p}`).toBeLessThan(UPDATE_TOL);
        }
    }
    check('step_losses', losses, want('step_losses'));
    check('step_grad_norms', norms, want('step_grad_norms'));
    check('final_loss', [ref.gradient(config, params, micro).loss], want('final_loss'));
  });

  it.for(['A_gqa_padded', 'B_headdim_untied', 'R_stories260k'])('case %s: greedy text', (name, { skip }) => {
    const dir = caseDirOr(skip, name, "the reference's greedy text");
    const { config, params } = load(dir);
    const stored = readJson(dir, 'generation.json') as Continuation | { cases: Continuation[] };
    for (const c of 'cases' in stored ? stored.cases : [stored]) {
      if (!c.continuation_ids) continue; // R's long text: the engine, with its cache, checks that one
      const out = ref.generateGreedy(config, params, c.prompt_ids, c.continuation_ids.length);
      expect(out.map((t) => t.id)).toEqual(c.continuation_ids);
      out.forEach(({ logprobs }, i) => {
        c.top5_ids[i]!.forEach((id, k) => {
          expect(Math.abs(logprobs[id]! - c.top5_logprobs[i]![k]!)).toBeLessThan(1e-6);
        });
      });
    }
  });

  it('case N_taps: values, gradients and perturbations at the taps', ({ skip }) => {
    const dir = caseDirOr(skip, 'N_taps', "the reference's taps");
    const { config, params, want, padded, tensorsOf, meta } = load(dir);
    const batch = padded[0]!;
    const h = config.hidden_size;
    const f = ref.forward(config, params, trimRows(batch));
    const b = ref.backward(config, params, f, 1 / f.labels);
    for (let l = 0; l < config.num_hidden_layers; l++) {
      check(`attn_out.${l}`, f.attnOut[l]!, unpad(want(`attn_out.${l}`), batch, h));
      check(`hidden_out.${l}`, f.hiddenOut[l]!, unpad(want(`hidden_out.${l}`), batch, h));
      check(`grad_attn.${l}`, b.attn[l]!, unpad(want(`grad_attn.${l}`), batch, h));
      check(`grad_hidden.${l}`, b.hidden[l]!, unpad(want(`grad_hidden.${l}`), batch, h));
    }
    const added = tensorsOf('perturbation.safetensors');
    for (const [variant, layers] of Object.entries(meta.perturbation_variants!)) {
      const at = (site: 'attn' | 'hidden'): ref.PerLayer =>
        Array.from({ length: config.num_hidden_layers }, (_, l) =>
          layers[site].includes(l)
            ? Float64Array.from(unpad(added.get(`${site}.${l}`)!.data, batch, h))
            : undefined,
        );
      const p = ref.forward(config, params, trimRows(batch), { attn: at('attn'), hidden: at('hidden') });
      check(variant, [p.tokenLoss.reduce((x, y) => x + y, 0) / p.labels], want(`loss_pert_${variant}`));
    }
  });
});
