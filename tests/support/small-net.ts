import { parseLlamaConfig, tensorShapes, type LlamaConfig } from '../../src/core/config.ts';
import { Rng } from '../../src/core/rng.ts';
import type { Tensors } from '../../src/core/types.ts';

/** Two layers of odd widths: small enough for float64, and one shape for all whole-step tests, whose kernels are compiled once. */
export const SMALL_NET: LlamaConfig = parseLlamaConfig({
  model_type: 'llama',
  vocab_size: 97,
  hidden_size: 24,
  intermediate_size: 40,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 32,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: true,
});

/** Normal weights of that net; norms vary about 0 as well. */
export function smallWeights(rng: Rng): Tensors {
  return new Map(
    [...tensorShapes(SMALL_NET)].map(([name, shape]) => {
      const size = name.includes('norm') ? 1 : 0.3;
      const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => size * rng.normal());
      return [name, { shape, data }];
    }),
  );
}
