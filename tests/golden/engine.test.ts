import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { everyMatmul, MATMUL_FAMILIES, matmulFamilies } from '../../src/core/kernel-table.ts';
import { readCase } from '../../src/cli/golden.ts';
import { sharedGpu } from '../support/page-gpu.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { runGoldenCase } from '../../src/selfcheck/golden.ts';
import { long } from '../support/long.ts';
import { caseDirOr } from './golden-dir.ts';

const CASES = [
  'A_gqa_padded',
  'B_headdim_untied',
  'C_tied_llama3rope_mqa',
  'D_lora',
  'D2_lora_zeroB',
  'E_grad_accum',
  'F_bf16',
  'G_sharded',
  'H_long',
  'I_preference',
  'J_booster',
  'K_tvaccine',
  'L_tar',
  'M_deepalign',
  'N_taps',
  'O_paramops',
  'P_eval',
  'R_stories260k',
];

describe('the engine equals the golden values', () => {
  const opened = new Map<boolean, Promise<Gpu>>();
  const open = (subgroups = true): Promise<Gpu> => {
    const gpu = opened.get(subgroups) ?? sharedGpu(subgroups ? undefined : { subgroups: false });
    opened.set(subgroups, gpu);
    return gpu;
  };

  it.for(CASES)('case %s', async (name, { skip }) => {
    const dir = caseDirOr(skip, name, 'the engine on it');
    const result = await runGoldenCase(await open(), basename(dir), readCase(dir));
    expect(result.groups.filter((g) => !g.ok)).toEqual([]);
    expect(result.unsupported).toBeNull();
    expect(result.ok).toBe(true);
  });

  it('case A_gqa_padded without subgroups', async ({ skip }) => {
    const dir = caseDirOr(skip, 'A_gqa_padded', 'the engine on it');
    const result = await runGoldenCase(await open(false), basename(dir), readCase(dir));
    expect(result.groups.filter((g) => !g.ok)).toEqual([]);
    expect(result.ok).toBe(true);
  });

  // Workgroup memory is what SwiftShader is slowest at: of that family one case runs always, the others with `npm test -- long`.
  const forced = MATMUL_FAMILIES.flatMap((family) =>
    ['A_gqa_padded', 'D_lora', 'R_stories260k'].map((name) => ({
      ...{ name, family },
      run: family === 'tile' && name !== 'A_gqa_padded' ? long : it,
    })),
  );
  for (const { name, family, run } of forced)
    run(`case ${name} with every product by the family ${family}, also in decoding`, async ({ skip }) => {
      const dir = caseDirOr(skip, name, `the kernel family ${family}`);
      const gpu = await open();
      const { table } = gpu;
      if (!matmulFamilies(table.subgroupSize).includes(family)) skip(`NOT RUN: no ${family} kernels here`);
      const withFamily = gpu.with({ ...table, matmul: everyMatmul(family), gemv: 0 });
      const result = await runGoldenCase(withFamily, basename(dir), readCase(dir));
      expect(result.groups.filter((g) => !g.ok)).toEqual([]);
      expect(result.ok).toBe(true);
    });

  // F's weights are bfloat16 already: nothing is rounded, and the tolerances are those of f32
  it.for([
    ['A_gqa_padded', 'f16', true],
    ['A_gqa_padded', 'f16', false],
    ['B_headdim_untied', 'f16', true],
    ['C_tied_llama3rope_mqa', 'f16', true],
    ['D_lora', 'f16', true],
    ['D_lora', 'f16', false],
    ['D2_lora_zeroB', 'f16', true],
    ['D2_lora_zeroB', 'f16', false],
    ['F_bf16', 'bf16', true],
    ['F_bf16', 'bf16', false],
  ] as const)(
    'case %s with frozen weights in %s, subgroups %s',
    async ([name, stored, subgroups], { skip }) => {
      const dir = caseDirOr(skip, name, `frozen weights in ${stored}`);
      const result = await runGoldenCase(await open(subgroups), basename(dir), readCase(dir), { stored });
      expect(result.groups.filter((g) => !g.ok)).toEqual([]);
      expect(result.groups.map((g) => g.group)).toEqual(
        expect.arrayContaining([
          'logits',
          'token_loss',
          'loss',
          ...(name.startsWith('D') ? ['gradients'] : []),
        ]),
      );
    },
  );

  it.for([
    ['A_gqa_padded', 96 * 1024],
    ['B_headdim_untied', 80 * 1024],
    ['C_tied_llama3rope_mqa', 128 * 1024],
    ['D_lora', 128 * 1024],
    ['N_taps', 2 ** 20],
    ['R_stories260k', 2 ** 20],
  ] as const)(
    'case %s with bindings of %i bytes, logits in pieces, and every layer computed again',
    async ([name, maxStorageBufferBindingSize], { skip }) => {
      const dir = caseDirOr(skip, name, 'the engine on it with little memory');
      const small = await sharedGpu({ maxStorageBufferBindingSize });
      const errors: Error[] = [];
      small.onError = (error) => errors.push(error);
      const sparing = { checkpoint: true, logits: { rows: 64, vocab: 48 } };
      const result = await runGoldenCase(small, basename(dir), readCase(dir), sparing);
      expect(errors).toEqual([]);
      expect(result.groups.filter((g) => !g.ok)).toEqual([]);
      expect(result.ok).toBe(true);
      expect(small.stats.bytes).toBe(0);
      small.destroy();
    },
  );

  it('notices weights that are not those of the case', async ({ skip }) => {
    const dir = caseDirOr(skip, 'A_gqa_padded', 'the engine on it');
    const files = readCase(dir);
    const weights = files['model.safetensors']!;
    new DataView(weights).setFloat32(weights.byteLength - 400, 9, true);
    const result = await runGoldenCase(await open(), basename(dir), files);
    expect(result.ok).toBe(false);
  });

  it('names kinds of cases that it does not know', async ({ skip }) => {
    const dir = caseDirOr(skip, 'A_gqa_padded', 'naming an unsupported kind');
    const strange = new TextEncoder().encode('{"strange": {}}').buffer;
    const result = await runGoldenCase(await open(), basename(dir), {
      ...readCase(dir),
      'batch.json': strange,
    });
    expect(result).toMatchObject({ ok: false, unsupported: 'an unknown kind (batch.json has strange)' });
  });
});
