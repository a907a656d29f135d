import { tinyConfigJson } from '../../src/recipes/tiny.ts';

/**
 * The shape of a small relative of the shipped models, with their words: a software adapter trains and asks it in a tenth of the time.
 * Tests of bookkeeping and of bits share it, so that its kernels are compiled once.
 */
export const STAND_IN = {
  ...tinyConfigJson(),
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  head_dim: 16,
};
