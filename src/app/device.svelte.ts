/** The GPU under the lab: memory in use, disk space, the self-check and the kernels' sources. */
import type { Attempts } from './attempts.svelte.ts';
import { errorInfo } from './client.ts';
import type {
  Capabilities,
  GoldenResult,
  KernelCheck,
  Kernels,
  MemoryInfo,
  MemoryPlan,
  ShaderInfo,
  StepProfile,
  StorageInfo,
} from '../worker/protocol.ts';

export interface SelfCheckState {
  running: boolean;
  done: number;
  total: number;
  checks: KernelCheck[];
  /** Null until it ended. */
  ok: boolean | null;
  milliseconds: number;
}

const UNCHECKED: SelfCheckState = {
  running: false,
  done: 0,
  total: 0,
  checks: [],
  ok: null,
  milliseconds: 0,
};

export class Device {
  #attempts: Attempts;

  memory = $state.raw<MemoryInfo | null>(null);
  storage = $state.raw<StorageInfo | null>(null);
  /** The user's limit on GPU memory in bytes; null: none. */
  budget = $state.raw<number | null>(null);
  selfCheck = $state.raw<SelfCheckState>(UNCHECKED);
  shaders = $state.raw<ShaderInfo[]>([]);
  profile = $state.raw<StepProfile | null>(null);
  profiling = $state(false);
  /** Kernels that are compiled for what is about to start; null: none. */
  compiling = $state.raw<{ done: number; total: number } | null>(null);
  /** Null until the device is open. */
  kernels = $state.raw<Kernels | null>(null);
  measuring = $state(false);

  constructor(attempts: Attempts) {
    this.#attempts = attempts;
  }

  /** `full`: on every size, not only one of each kind. */
  async check(full = false): Promise<void> {
    this.selfCheck = { ...UNCHECKED, running: true };
    try {
      const result = await this.#attempts.client.request(
        'selfCheck',
        { full },
        {
          onEvent: ({ check, done, total }) => {
            const checks = [...this.selfCheck.checks, check];
            this.selfCheck = { ...this.selfCheck, checks, done, total };
          },
        },
      );
      this.selfCheck = { ...this.selfCheck, ...result, running: false };
    } catch (e) {
      this.selfCheck = { ...this.selfCheck, running: false };
      this.#attempts.error = errorInfo(e);
    }
  }

  async measureStep(nodeId: string): Promise<void> {
    this.profiling = true;
    this.profile = (await this.#attempts.try('profile', { nodeId })) ?? this.profile;
    this.profiling = false;
  }

  /**
   * What a device that was just opened uses; where nothing was measured for it, that is done now. Not on a software adapter: the
   * defaults come from measurements on those, and compiling for the race would take the processor from the user for seconds.
   */
  async begin({ kernels, software }: Capabilities): Promise<void> {
    this.kernels = kernels;
    if (!kernels.measured && !software) await this.measureKernels(false);
  }

  async measureKernels(again = true): Promise<void> {
    this.measuring = true;
    this.kernels = (await this.#attempts.try('kernels', { again })) ?? this.kernels;
    this.measuring = false;
  }

  async loadShaders(): Promise<void> {
    this.shaders = (await this.#attempts.try('shaders', {})) ?? this.shaders;
  }

  async refreshMemory(): Promise<void> {
    const memory = await this.#attempts.try('memory', {});
    if (!memory) return;
    this.memory = memory;
    this.storage = memory.storage;
  }

  /** It holds for what is opened or started from now on, and outlives the visit. */
  async setBudget(bytes: number | null): Promise<void> {
    const before = this.budget;
    this.budget = bytes;
    try {
      this.budget = await this.#attempts.client.request('setBudget', { bytes });
    } catch (e) {
      this.budget = before;
      this.#attempts.error = errorInfo(e);
    }
  }

  /** What asking a node takes, and training an adapter on it. */
  plan(nodeId: string): Promise<{ talk: MemoryPlan; train: MemoryPlan } | null> {
    return this.#attempts.try('memoryPlan', { nodeId });
  }

  async releaseAll(): Promise<void> {
    this.memory = (await this.#attempts.try('releaseAll', {})) ?? this.memory;
  }

  /** Asks the browser not to evict the lab's data on its own; only a page may ask, a worker may not. */
  async persist(): Promise<void> {
    await navigator.storage?.persist?.().catch(() => false);
    await this.refreshMemory();
  }

  golden(name: string, files: Record<string, ArrayBuffer>): Promise<GoldenResult | null> {
    return this.#attempts.try('golden', { name, files });
  }
}
