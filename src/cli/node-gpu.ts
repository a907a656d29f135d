import { LabError } from '../core/errors.ts';
import { openGpu, type Gpu, type OpenOptions } from '../gpu/gpu.ts';

/** On globalThis because Dawn aborts the process when the object that create() returned is garbage-collected. */
const kept = globalThis as { sddLabGpu?: Promise<GPU> };

/**
 * WebGPU in Node, through Dawn (npm `webgpu`): a `GPU` like `navigator.gpu`, with the WebGPU globals (GPUBufferUsage, ...)
 * installed. Which driver it finds is decided by environment variables set before the process started; see
 * scripts/software-gpu.mjs.
 *
 * Throws LabError('no-webgpu') when Dawn has no build for this platform, LabError('no-adapter') when it finds no driver.
 * A process that used it must end with process.exit: Dawn's threads keep it alive.
 */
export function nodeGpu(): Promise<GPU> {
  kept.sddLabGpu ??= open();
  return kept.sddLabGpu;
}

const clock = new Int32Array(new SharedArrayBuffer(4));

/**
 * A device for Node, which sleeps while it waits.
 * @param force see OpenOptions
 * @param gpu where it comes from
 */
export async function openNodeGpu(force?: OpenOptions['force'], gpu?: GPU): Promise<Gpu> {
  return openGpu({ gpu: gpu ?? (await nodeGpu()), nap, ...(force && { force }) });
}

/** See Gpu.nap. */
function nap(ms: number): Promise<void> {
  Atomics.wait(clock, 0, 0, ms);
  return new Promise((resolve) => setImmediate(resolve));
}

async function open(): Promise<GPU> {
  let dawn: typeof import('webgpu');
  try {
    dawn = await import('webgpu');
  } catch (cause) {
    throw new LabError('no-webgpu', `WebGPU for Node has no build for ${process.platform}-${process.arch}.`, {
      next: 'Use Linux, macOS or Windows on x64 or arm64, and install with "npm ci".',
      cause,
    });
  }
  Object.assign(globalThis, dawn.globals);
  const gpu = dawn.create([]);
  Object.assign(globalThis, { sddLabDawn: gpu });
  if (!(await gpu.requestAdapter())) {
    throw new LabError('no-adapter', 'WebGPU for Node found no graphics adapter.', {
      next:
        'On Linux x64 start through "npm run" (or "node scripts/software-gpu.mjs COMMAND"), which brings a software driver; ' +
        'or install a Vulkan driver (on Debian: mesa-vulkan-drivers) and name its file in VK_ICD_FILENAMES.',
    });
  }
  return gpu;
}
