/** The adapter as a browser has it. */
import { LIMITS, type AdapterFacts } from './models.ts';
import { browserNet } from './reach.ts';
import { WebLlm, type WebLlmOptions } from './webllm.ts';

/** Of the npm package that this lab is built with; its model libraries fit this version and no other (tests/unit/webllm.test.ts). */
export const WEBLLM_VERSION = '0.2.86';

/** What the GPU can do that WebLLM would get; null: the browser gives none. */
export async function adapterFacts(): Promise<AdapterFacts | null> {
  if (typeof navigator === 'undefined' || !navigator.gpu) return null;
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) return null;
  const names = Object.keys(LIMITS) as (keyof typeof LIMITS)[];
  const limits = Object.fromEntries(names.map((name) => [name, adapter.limits[name]]));
  return { f16: adapter.features.has('shader-f16'), limits: limits as AdapterFacts['limits'] };
}

export const browserWebLlm = (o: Partial<WebLlmOptions> = {}): WebLlm =>
  new WebLlm({
    library: () => import('@mlc-ai/web-llm'),
    version: WEBLLM_VERSION,
    adapter: adapterFacts,
    net: browserNet,
    ...o,
  });
