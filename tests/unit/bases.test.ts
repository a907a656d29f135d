import { describe, expect, test } from 'vitest';
import type { Model } from '../../src/model/model.ts';
import { Bases } from '../../src/worker/bases.ts';

/** Of a model, bases know only how to end it. */
function loader(log: string[], name: string): () => Promise<Model> {
  return () => Promise.resolve({ destroy: () => log.push(name) } as unknown as Model);
}

describe('whole models on the GPU', () => {
  test('one that somebody uses is not freed to make room, and large ones stay until room is needed', async () => {
    const freed: string[] = [];
    let calls = 0;
    const bases = new Bases(() => void calls++);
    const first = await bases.acquire('a', true, loader(freed, 'a'));
    const again = await bases.acquire('a', true, () => Promise.reject(new Error('loaded twice')));
    expect(again.model).toBe(first.model);
    first.release();
    first.release();
    bases.freeIdle();
    expect(freed).toEqual([]);
    again.release();
    expect(freed).toEqual([]);
    bases.freeIdle('a');
    expect(freed).toEqual([]);
    await bases.acquire('b', true, loader(freed, 'b'));
    expect(freed).toEqual(['a']);
    expect(calls).toBe(2);
    bases.freeIdle();
    expect(freed).toEqual(['a']);
  });

  test('small ones and deleted ones go with their last user', async () => {
    const freed: string[] = [];
    const bases = new Bases(() => {});
    const small = await bases.acquire('small', false, loader(freed, 'small'));
    const large = await bases.acquire('large', true, loader(freed, 'large'));
    bases.forget('large');
    expect(freed).toEqual([]);
    small.release();
    large.release();
    expect(freed).toEqual(['small', 'large']);
  });

  test('a load that failed is tried again', async () => {
    const bases = new Bases(() => {});
    await expect(bases.acquire('a', true, () => Promise.reject(new Error('no room')))).rejects.toThrow(
      'no room',
    );
    const freed: string[] = [];
    (await bases.acquire('a', false, loader(freed, 'a'))).release();
    expect(freed).toEqual(['a']);
  });
});
