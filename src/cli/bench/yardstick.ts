/**
 * What the adapter gives a plain kernel: the matrix products of a training step alone, each with a kernel written for its very
 * shape and nothing else (one subgroup broadcasts A's values, each lane keeps a tile of sums), a large product, and a copy. The
 * share of the products' time in a step says how much the rest of the engine costs.
 */
import type { Gpu } from '../../gpu/gpu.ts';
import type { BenchConfig } from './configs.ts';
import { cpuMs, round } from './figures.ts';

type Layout = 'NN' | 'NT' | 'TN';

interface Product {
  layout: Layout;
  M: number;
  N: number;
  K: number;
  /** How often a step has it. */
  times: number;
}

/** Every product of a step, as a framework without fused projections would make it: y = xW, dx = dyWᵀ, dW = xᵀdy. */
export function stepProducts(c: BenchConfig): Product[] {
  const T = c.rows * c.seq;
  const kv = (c.hidden / c.heads) * c.kvHeads;
  const linear = (inputs: number, outputs: number, times: number): Product[] => [
    { layout: 'NN', M: T, N: outputs, K: inputs, times },
    { layout: 'NT', M: T, N: inputs, K: outputs, times },
    { layout: 'TN', M: inputs, N: outputs, K: T, times },
  ];
  return [
    ...linear(c.hidden, c.hidden, 2 * c.layers),
    ...linear(c.hidden, kv, 2 * c.layers),
    ...linear(c.hidden, c.ff, 2 * c.layers),
    ...linear(c.ff, c.hidden, c.layers),
    { layout: 'NT', M: T, N: c.vocab, K: c.hidden, times: 1 },
    { layout: 'NN', M: T, N: c.hidden, K: c.vocab, times: 1 },
    { layout: 'TN', M: c.vocab, N: c.hidden, K: T, times: 1 },
  ];
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** A kernel for exactly this shape; sizes must be multiples of its tile, as those of the benchmark are. */
function kernel(
  { layout, M, N, K }: Omit<Product, 'times'>,
  lanes: number,
): { code: string; grid: [number, number] } {
  const rows = M % 16 === 0 ? 16 : 8;
  const columns = N % (2 * lanes) === 0 ? 2 : 1;
  const each = (f: (r: number, c: number) => string): string =>
    range(rows)
      .flatMap((r) => range(columns).map((c) => f(r, c)))
      .join('\n');
  const bAt = (c: number, k: string): string =>
    layout === 'NT' ? `b[(col + ${c * lanes}u) * ${K}u + ${k}]` : `b[(${k}) * ${N}u + col + ${c * lanes}u]`;
  const fma = (pick: (r: number) => string): string =>
    range(rows)
      .map((r) => {
        const lines = range(columns).map((c) => `s${r}_${c} = fma(x, y${c}, s${r}_${c});`);
        return `{ let x = ${pick(r)}; ${lines.join(' ')} }`;
      })
      .join('\n');
  const loadB = (k: string): string =>
    range(columns)
      .map((c) => `let y${c} = ${bAt(c, k)};`)
      .join(' ');
  const inner =
    layout === 'TN'
      ? `for (var k = 0u; k < ${K}u; k++) {
           ${range(Math.ceil(rows / lanes))
             .map((i) => `let x${i} = a[k * ${M}u + row + ${i * lanes}u + lane];`)
             .join(' ')}
           ${loadB('k')}
           ${fma((r) => `subgroupBroadcast(x${Math.floor(r / lanes)}, ${r % lanes}u)`)}
         }`
      : `for (var k = 0u; k < ${K}u; k += ${lanes}u) {
           ${range(rows)
             .map((r) => `let x${r} = a[(row + ${r}u) * ${K}u + k + lane];`)
             .join(' ')}
           ${range(lanes)
             .map((q) => `{ ${loadB(`k + ${q}u`)}\n${fma((r) => `subgroupBroadcast(x${r}, ${q}u)`)} }`)
             .join('\n')}
         }`;
  const code = `enable subgroups;
    @group(0) @binding(0) var<storage, read> a: array<f32>;
    @group(0) @binding(1) var<storage, read> b: array<f32>;
    @group(0) @binding(2) var<storage, read_write> c: array<f32>;
    @compute @workgroup_size(${lanes})
    fn main(@builtin(workgroup_id) g: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
      let row = g.y * ${rows}u;
      let col = g.x * ${columns * lanes}u + lane;
      ${each((r, q) => `var s${r}_${q} = 0f;`)}
      ${inner}
      ${each((r, q) => `c[(row + ${r}u) * ${N}u + col + ${q * lanes}u] = s${r}_${q};`)}
    }`;
  return { code, grid: [N / columns / lanes, M / rows] };
}

interface Times {
  ms: number;
  cpu: number;
}

/** CPU and wall milliseconds of what is encoded and waited for: the least of `reps` after one that compiles. */
async function least(gpu: Gpu, reps: number, encode: (into: GPUCommandEncoder) => void): Promise<Times> {
  const { device } = gpu;
  const best = { ms: Infinity, cpu: Infinity };
  for (let i = 0; i <= reps; i++) {
    const encoder = device.createCommandEncoder();
    encode(encoder);
    const cpu = cpuMs();
    const start = performance.now();
    device.queue.submit([encoder.finish()]);
    await gpu.patiently(device.queue.onSubmittedWorkDone());
    if (i === 0) continue;
    best.ms = Math.min(best.ms, performance.now() - start);
    best.cpu = Math.min(best.cpu, cpuMs() - cpu);
  }
  return best;
}

/** One product. */
async function time(gpu: Gpu, p: Omit<Product, 'times'>, reps: number): Promise<Times> {
  const { device } = gpu;
  const { code, grid } = kernel(p, gpu.table.subgroupSize);
  const pipeline = device.createComputePipeline({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code }), entryPoint: 'main' },
  });
  const buffers = [p.M * p.K, p.N * p.K, p.M * p.N].map((n) => gpu.buffer('yardstick', n * 4));
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  const best = await least(gpu, reps, (encoder) => {
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...grid);
    pass.end();
  });
  for (const buffer of buffers) gpu.free(buffer);
  return best;
}

export interface Yardstick {
  /** CPU and wall milliseconds of a step's products alone. */
  productsCpuMs: number;
  productsMs: number;
  /** Multiply-adds of the products, as two operations each. */
  productsGflop: number;
  /** GFLOP per second of CPU time in them. */
  gflopPerCpuS: number;
}

/** @returns null where the adapter has no subgroups of one size: the plain kernel needs them */
export async function yardstick(gpu: Gpu, c: BenchConfig, reps = 3): Promise<Yardstick | null> {
  if (gpu.table.subgroupSize === 0) return null;
  let ms = 0;
  let cpu = 0;
  let gflop = 0;
  for (const p of stepProducts(c)) {
    const best = await time(gpu, p, reps);
    ms += best.ms * p.times;
    cpu += best.cpu * p.times;
    gflop += (2 * p.M * p.N * p.K * p.times) / 1e9;
  }
  return {
    productsCpuMs: round(cpu),
    productsMs: round(ms),
    productsGflop: round(gflop),
    gflopPerCpuS: round(gflop / (cpu / 1000)),
  };
}

export interface AdapterYardstick {
  /** Side of the large square product; absent where the plain kernel cannot run. */
  productSide?: number;
  productGflopPerS?: number;
  productGflopPerCpuS?: number;
  /** Bytes that the copy reads, and writes as many. */
  copyBytes: number;
  copyGbPerS: number;
  copyGbPerCpuS: number;
}

/** Numbers that no cache holds. */
const COPY_BYTES = 2 ** 26;
/** A larger product is made where the last one took less, milliseconds. */
const SHORT_MS = 20;

/** What the adapter gives anybody: a large product by the plain kernel, and a copy of one buffer to another. */
export async function adapterYardstick(gpu: Gpu, reps = 3): Promise<AdapterYardstick> {
  const buffers = ['from', 'to'].map((name) => gpu.buffer(`copied ${name}`, COPY_BYTES));
  const copied = await least(gpu, reps, (encoder) =>
    encoder.copyBufferToBuffer(buffers[0]!, 0, buffers[1]!, 0, COPY_BYTES),
  );
  for (const buffer of buffers) gpu.free(buffer);
  const copy = {
    copyBytes: COPY_BYTES,
    copyGbPerS: round((2 * COPY_BYTES) / copied.ms / 1e6),
    copyGbPerCpuS: round((2 * COPY_BYTES) / copied.cpu / 1e6),
  };
  if (gpu.table.subgroupSize === 0) return copy;
  for (let side = 1024; ; side *= 2) {
    const { ms, cpu } = await time(gpu, { layout: 'NN', M: side, N: side, K: side }, reps);
    if (ms < SHORT_MS && side < 4096) continue;
    const flops = 2 * side ** 3;
    return {
      productSide: side,
      productGflopPerS: round(flops / ms / 1e6),
      productGflopPerCpuS: round(flops / cpu / 1e6),
      ...copy,
    };
  }
}
