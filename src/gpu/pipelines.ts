import { LabError } from '../core/errors.ts';
import { shaderSource } from './shaders.ts';
import { expandShader, type Defines } from './wgsl.ts';

/** Read-only storage, read-write storage, or uniform: one letter per binding of group 0, in order. */
export type Access = 'r' | 'w' | 'u';

/** A compute pipeline: compiled at once by whoever needs it now, or in the background for all who can wait. */
export class Pipeline {
  readonly #device: GPUDevice;
  readonly #describe: () => GPUComputePipelineDescriptor;
  #made: GPUComputePipeline | null = null;
  #compiling: Promise<void> | null = null;

  constructor(device: GPUDevice, describe: () => GPUComputePipelineDescriptor) {
    this.#device = device;
    this.#describe = describe;
  }

  get made(): boolean {
    return this.#made !== null;
  }

  get(): GPUComputePipeline {
    return (this.#made ??= this.#device.createComputePipeline(this.#describe()));
  }

  /** @throws LabError 'gpu-error'; a later call tries again */
  compile(): Promise<void> {
    this.#compiling ??= this.#device.createComputePipelineAsync(this.#describe()).then(
      (made) => void (this.#made ??= made),
      (error: unknown) => {
        this.#compiling = null;
        throw refused(error instanceof Error ? error.message : String(error));
      },
    );
    return this.#compiling;
  }
}

/** The compute pipelines of one device, each distinct shader with its defines once. */
export class Pipelines {
  /** Told while pipelines compile in the background: how many are done, of how many. */
  onProgress: ((done: number, total: number) => void) | undefined;
  readonly #device: GPUDevice;
  readonly #held = new Map<string, Pipeline>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  /** What is asked for inside of `collect`; null outside of it. */
  #wanted: Set<Pipeline> | null = null;
  #done = 0;
  #total = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  get count(): number {
    return this.#held.size;
  }

  /** The pipeline of shaders/<shader>.wgsl with these defines; compiled, but for those that are asked for inside of `collect`. */
  of(shader: string, defines: Defines, access: string): Pipeline {
    const key = `${shader} ${access} ${JSON.stringify(defines)}`;
    let pipeline = this.#held.get(key);
    if (!pipeline) {
      pipeline = new Pipeline(this.#device, () => ({
        label: shader,
        layout: this.#device.createPipelineLayout({ bindGroupLayouts: [this.layout(access)] }),
        compute: {
          module: this.#device.createShaderModule({
            label: shader,
            code: expandShader(shader, defines, shaderSource),
          }),
          entryPoint: 'main',
        },
      }));
      this.#held.set(key, pipeline);
    }
    if (this.#wanted) this.#wanted.add(pipeline);
    else pipeline.get();
    return pipeline;
  }

  /** Runs `make`, and compiles what it asked for in the background, all at the same time. */
  collect<T>(make: () => T): { result: T; compiled: Promise<unknown> } {
    const wanted = (this.#wanted = new Set<Pipeline>());
    try {
      const result = make();
      const missing = [...wanted].filter((pipeline) => !pipeline.made);
      return { result, compiled: Promise.all(missing.map((pipeline) => this.#follow(pipeline))) };
    } finally {
      this.#wanted = null;
    }
  }

  async #follow(pipeline: Pipeline): Promise<void> {
    this.#total++;
    try {
      await pipeline.compile();
    } finally {
      this.onProgress?.(++this.#done, this.#total);
      if (this.#done === this.#total) this.#done = this.#total = 0;
    }
  }

  layout(access: string): GPUBindGroupLayout {
    let layout = this.#layouts.get(access);
    if (!layout) {
      const types = { r: 'read-only-storage', w: 'storage', u: 'uniform' } as const;
      layout = this.#device.createBindGroupLayout({
        entries: [...access].map((letter, binding) => ({
          binding,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: types[letter as Access] },
        })),
      });
      this.#layouts.set(access, layout);
    }
    return layout;
  }
}

/** What the driver says to a command or a kernel that it does not take. */
export function refused(message: string): LabError {
  return new LabError('gpu-error', `The graphics driver refused a command: ${message}`, {
    safe: 'Saved checkpoints are whole.',
    next: 'Please report this with the text of the GPU page.',
  });
}
