import { checkpoint, type Files } from '../../support/checkpoint.ts';

export const REPO = 'someone/some-model';
export const WEIGHTS = 'model.safetensors';
/** Bytes of the weights: more than one request asks for. */
export const TWO_PIECES = 8 * 2 ** 20 + 12_345;

/** Content that nobody reads as weights here. */
export const weights = new Uint8Array(TWO_PIECES).map((_, i) => (i * 31 + (i >> 11)) & 255);

export const FILES: Files = {
  ...checkpoint(),
  'README.md': 'not needed',
  'pytorch_model.bin': 'not needed',
  [WEIGHTS]: weights,
};
