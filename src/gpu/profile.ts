import type { Gpu } from './gpu.ts';
import type { Replayable } from './program.ts';
import type { Stopwatch } from './stopwatch.ts';
import { atOnce, type Run, type Turn } from './timing.ts';

/** All dispatches of one kernel variant in a list of programs. */
export interface KernelTime {
  kernel: string;
  dispatches: number;
  /** Of all of them together, each timed alone. */
  ms: number;
  flops: number;
  bytes: number;
}

/** What writes more than this is not repeated aside but in its place. */
const MOST_ASIDE = 2 ** 26;

/** Bytes that a profile takes on the GPU beside its programs. */
export function asideBytes(programs: readonly Replayable[]): number {
  const all = programs.flatMap((p) => Array.from({ length: p.length }, (_, i) => p.writes(i)));
  return Math.max(...all.filter((bytes) => bytes <= MOST_ASIDE), 0);
}

/**
 * Times every dispatch of prepared programs alone, by repeating it until the clock can tell. Repeated kernels write into a scratch
 * buffer of zeros: one that changes its input in place, or adds to its output, would meet other numbers each time, and in the
 * end none that are finite, which stops an optimizer. The few that write more than MOST_ASIDE are gradients, which grow by
 * one addend at each repetition, and the weights and moments of the copy that is profiled, which come last.
 */
export async function profile(
  gpu: Gpu,
  watch: Stopwatch,
  programs: readonly Replayable[],
  turn: Turn = atOnce,
): Promise<KernelTime[]> {
  const scratch = gpu.buffer('profiled', asideBytes(programs));
  const found = new Map<string, KernelTime>();
  /** Repetitions that the last dispatch of the same work took: layers are alike. */
  const known = new Map<string, number>();
  try {
    for (const program of programs)
      for (let i = 0; i < program.length; i++) {
        const about = program.describe(i);
        if (!about) continue;
        const { kernel, flops, bytes } = about;
        const like = `${kernel} ${flops} ${bytes}`;
        const { ms, repeats } = await turn(() =>
          watch.timing.measure(repeated(gpu, watch, program, i, scratch), known.get(like)),
        );
        known.set(like, repeats);
        const sum = found.get(kernel) ?? { kernel, dispatches: 0, ms: 0, flops: 0, bytes: 0 };
        found.set(kernel, {
          kernel,
          dispatches: sum.dispatches + 1,
          ms: sum.ms + ms,
          flops: sum.flops + flops,
          bytes: sum.bytes + bytes,
        });
      }
  } finally {
    gpu.free(scratch);
  }
  return [...found.values()].sort((a, b) => b.ms - a.ms);
}

function repeated(gpu: Gpu, watch: Stopwatch, program: Replayable, i: number, scratch: GPUBuffer): Run {
  const bytes = program.writes(i);
  const aside = bytes <= scratch.size;
  const record = aside
    ? program.aside(i, scratch)
    : (pass: GPUComputePassEncoder) => program.encode(pass, i, i + 1);
  return (times) => {
    if (aside) {
      const encoder = gpu.device.createCommandEncoder();
      encoder.clearBuffer(scratch, 0, bytes);
      gpu.submit(encoder);
    }
    return watch.time((pass) => {
      for (let n = 0; n < times; n++) record(pass);
    });
  };
}
