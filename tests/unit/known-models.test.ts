import { describe, expect, it } from 'vitest';
import { parseLlamaConfig, tensorShapes } from '../../src/core/config.ts';
import { fit, KNOWN_MODELS, parametersOf } from '../../src/core/known-models.ts';
import { frozenBytes } from '../../src/model/frozen.ts';

const numbers = (shapes: Iterable<number[]>): number[] =>
  [...shapes].map((shape) => shape.reduce((a, b) => a * b, 1));
const sizes = (shape: object): number[] =>
  numbers(tensorShapes(parseLlamaConfig({ ...shape, bos_token_id: 0, eos_token_id: 0 })).values());

describe('known models', () => {
  it.each(KNOWN_MODELS)('$repo has as many parameters as its tensors have numbers', ({ shape }) => {
    expect(parametersOf(shape)).toBe(sizes(shape).reduce((a, b) => a + b));
  });

  // As https://huggingface.co/HuggingFaceTB/SmolLM2-135M counts them.
  it('SmolLM2-135M has the published number of parameters', () => {
    const { shape } = KNOWN_MODELS.find((m) => m.repo.endsWith('SmolLM2-135M'))!;
    expect(parametersOf(shape)).toBe(134_515_008);
  });

  it.each(KNOWN_MODELS)(
    '$repo fits exactly where the largest buffer of its frozen weights does',
    ({ shape }) => {
      const config = parseLlamaConfig({ ...shape, bos_token_id: 0, eos_token_id: 0 });
      const { problem } = fit(shape, { maxBufferSize: 0 });
      const limits = { maxBufferSize: problem!.needs, maxStorageBufferBindingSize: problem!.needs };
      expect(Math.max(...frozenBytes(config, limits))).toBe(problem!.needs);
      expect(fit(shape, limits)).toEqual({ weights: parametersOf(shape) * 2, problem: null });
      expect(fit(shape, { maxBufferSize: problem!.needs - 1 }).problem).not.toBeNull();
    },
  );
});
