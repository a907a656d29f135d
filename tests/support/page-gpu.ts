import { nodeGpu, openNodeGpu } from '../../src/cli/node-gpu.ts';
import type { Gpu, OpenOptions } from '../../src/gpu/gpu.ts';

const kept = globalThis as { sddLabPageGpu?: Promise<GPU>; sddLabShared?: Map<string, Promise<GPU>> };

/**
 * What pages are given in tests: a GPU whose device outlives them. A software driver compiles every kernel anew for each device, which
 * is most of what a short test takes. A page that closes its device leaves it to the next one; see `lose` for the end of it.
 */
export function pageGpu(): Promise<GPU> {
  kept.sddLabPageGpu ??= nodeGpu().then(sharing);
  return kept.sddLabPageGpu;
}

/**
 * A Gpu on a device that the tests of all files share, one for each way to open it; what a file closes goes on for the next. For
 * whoever asks nothing of the device itself.
 */
export async function sharedGpu(force: OpenOptions['force'] = {}): Promise<Gpu> {
  const devices = (kept.sddLabShared ??= new Map());
  const key = JSON.stringify(Object.entries(force).sort(([a], [b]) => a.localeCompare(b)));
  if (!devices.has(key)) devices.set(key, nodeGpu().then(sharing));
  return openNodeGpu(force, await devices.get(key)!);
}

/** Ends the device as a driver does that goes away. */
export function lose(device: GPUDevice): void {
  GPUDevice.prototype.destroy.call(device);
}

function sharing(gpu: GPU): GPU {
  let device: Promise<GPUDevice> | null = null;
  const open = async (adapter: GPUAdapter, descriptor?: GPUDeviceDescriptor): Promise<GPUDevice> => {
    const opened = await adapter.requestDevice(descriptor);
    void opened.lost.then(() => (device = null));
    return lasting(opened);
  };
  const requestAdapter = async (o?: GPURequestAdapterOptions): Promise<GPUAdapter | null> => {
    const adapter = await gpu.requestAdapter(o);
    if (!adapter) return null;
    const { features, limits, info } = adapter;
    return { features, limits, info, requestDevice: (d) => (device ??= open(adapter, d)) } as GPUAdapter;
  };
  return { requestAdapter } as GPU;
}

/** Keeps its pipelines: Dawn answers an equal description with the same pipeline for as long as somebody holds it. */
function lasting(device: GPUDevice): GPUDevice {
  const pipelines: GPUComputePipeline[] = [];
  const keep = (pipeline: GPUComputePipeline): GPUComputePipeline => {
    pipelines.push(pipeline);
    return pipeline;
  };
  return Object.assign(device, {
    createComputePipeline: (d: GPUComputePipelineDescriptor) =>
      keep(GPUDevice.prototype.createComputePipeline.call(device, d)),
    createComputePipelineAsync: async (d: GPUComputePipelineDescriptor) =>
      keep(await GPUDevice.prototype.createComputePipelineAsync.call(device, d)),
    destroy: () => undefined,
  });
}
