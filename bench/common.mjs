/**
 * What every peer needs: the model and the batch that `npm run bench` wrote, WebGPU in Node with its commands counted, and one
 * line of JSON as result. Usage of a peer: node PEER.mjs DATA.json STEPS
 */
import { readFileSync } from 'node:fs';

const [file, count] = process.argv.slice(2);
const { shape: c, tensors, tokens, targets } = JSON.parse(readFileSync(file, 'utf8'));
const values = new Float32Array(readFileSync(file.replace(/json$/, 'bin')).buffer.slice(0));

export const steps = Number(count);
/** Sizes: hidden, layers, heads, kvHeads, ff, vocab, seq, rows. */
export { c };
export const headDim = c.hidden / c.heads;
export const kvWidth = headDim * c.kvHeads;
/** Of all rows, one behind the other. */
export const ids = Int32Array.from(tokens);
export const wanted = Int32Array.from(targets);
export const OPTIM = { lr: 1e-3, b1: 0.9, b2: 0.95, eps: 1e-8, decay: 0.1 };
export const NORM_EPS = 1e-5;
export const THETA = 10000;

/** Weights by short name, matrices as [in, out], so that y = x W; the embedding stays [vocab, hidden]. */
export const weights = new Map(
  tensors.map(({ name, shape, at }) => {
    const data = values.subarray(at, at + shape.reduce((a, b) => a * b, 1));
    const short = name
      .replace(/^model\./, '')
      .replace(/\.weight$/, '')
      .replaceAll('.', '_');
    if (shape.length === 1 || name.includes('embed')) return [short, { shape, data }];
    const [out, inputs] = shape;
    const turned = new Float32Array(data.length);
    for (let o = 0; o < out; o++) for (let i = 0; i < inputs; i++) turned[i * out + o] = data[o * inputs + i];
    return [short, { shape: [inputs, out], data: turned }];
  }),
);
export const layer = (l, name) =>
  `layers_${l}_${{ norm1: 'input_layernorm', norm2: 'post_attention_layernorm' }[name] ?? `${/gate|up|down/.test(name) ? 'mlp' : 'self_attn'}_${name}_proj`}`;

/** cos and sin of rotary positions, [seq, headDim / 2]. */
export function rotary() {
  const half = headDim / 2;
  const cos = new Float32Array(c.seq * half);
  const sin = new Float32Array(c.seq * half);
  for (let s = 0; s < c.seq; s++)
    for (let i = 0; i < half; i++) {
      const angle = s / THETA ** ((2 * i) / headDim);
      cos[s * half + i] = Math.cos(angle);
      sin[s * half + i] = Math.sin(angle);
    }
  return { cos, sin };
}

export const gpuCount = { dispatches: 0 };
/** Kept alive: Dawn aborts the process when the object that create() returned is collected. */
const kept = [];
let device;

/**
 * navigator.gpu out of Dawn, as a browser would have it.
 * @param hooks `info` changes what the adapter says of itself, `wgsl` each shader
 */
export async function installGpu(hooks = {}) {
  const { create, globals } = await import('webgpu');
  for (const [name, value] of Object.entries(globals))
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  const dawn = create([]);
  kept.push(dawn);
  globalThis.keptDawn = kept;
  const bound = (object, own) =>
    new Proxy(object, {
      get(target, key) {
        if (key in own) return own[key];
        const value = target[key];
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  const gpu = {
    wgslLanguageFeatures: dawn.wgslLanguageFeatures ?? new Set(),
    getPreferredCanvasFormat: () => 'bgra8unorm',
    async requestAdapter(options = {}) {
      const adapter = await dawn.requestAdapter(options);
      kept.push(adapter);
      return bound(adapter, {
        ...(hooks.info && { info: hooks.info(adapter.info) }),
        requestDevice: async (wanted) => counted(await adapter.requestDevice(wanted), hooks),
      });
    },
  };
  const navigator = bound(globalThis.navigator ?? {}, { gpu, userAgent: 'Mozilla/5.0 Chrome/147' });
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true, writable: true });
}

function counted(made, { wgsl }) {
  kept.push(made);
  device = made;
  made.addEventListener('uncapturederror', (e) => console.error(e.error.message.slice(0, 400)));
  if (wgsl) {
    const module = made.createShaderModule.bind(made);
    made.createShaderModule = (d) => module({ ...d, code: wgsl(d.code) });
  }
  const encoder = made.createCommandEncoder.bind(made);
  made.createCommandEncoder = (d) => {
    const e = encoder(d ?? {});
    const begin = e.beginComputePass.bind(e);
    e.beginComputePass = (p) => {
      const pass = begin(p ?? {});
      for (const name of ['dispatchWorkgroups', 'dispatchWorkgroupsIndirect']) {
        const dispatch = pass[name].bind(pass);
        pass[name] = (...a) => {
          gpuCount.dispatches++;
          return dispatch(...a);
        };
      }
      return pass;
    };
    return e;
  };
  return made;
}

export const median = (xs) => [...xs].sort((a, b) => a - b)[xs.length >> 1];
const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/** Runs `step` so often and says what it took; the first, which compiles, stands apart. `step` resolves with the loss. */
export async function measure(step) {
  const losses = [];
  const ms = [];
  const cpu = [];
  let dispatches = 0;
  for (let i = 0; i <= steps; i++) {
    const before = gpuCount.dispatches;
    const start = performance.now();
    const used = cpuMs();
    losses.push(Number((await step(i)).toPrecision(6)));
    await device?.queue.onSubmittedWorkDone();
    ms.push(performance.now() - start);
    cpu.push(cpuMs() - used);
    dispatches = gpuCount.dispatches - before;
  }
  const round = (x) => Number(x.toPrecision(4));
  return {
    firstStepMs: round(ms[0]),
    msPerStep: round(median(ms.slice(1))),
    cpuMsPerStep: round(median(cpu.slice(1))),
    dispatches,
    losses,
  };
}

export const PROMPT = 16;
export const NEW = 24;

/**
 * Greedy decoding with `next(id, position)`, which resolves with the likeliest token.
 * @returns tokens a second and CPU milliseconds a token, medians
 */
export async function decode(next, from = 0) {
  let id = ids[from];
  const ms = [];
  const cpu = [];
  for (let i = from; i < PROMPT + NEW; i++) {
    const start = performance.now();
    const used = cpuMs();
    const likeliest = await next(id, i);
    if (i > PROMPT) {
      ms.push(performance.now() - start);
      cpu.push(cpuMs() - used);
    }
    id = i + 1 < PROMPT ? ids[i + 1] : likeliest;
  }
  return {
    tokPerS: Number((1000 / median(ms)).toPrecision(4)),
    cpuMsPerToken: Number(median(cpu).toPrecision(4)),
  };
}

/** The result, for `npm run bench`; ends the process, which Dawn's threads would keep alive. */
export function finish(result) {
  console.log(`RESULT ${JSON.stringify(result)}`);
  process.exit(0);
}
