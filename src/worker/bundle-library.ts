/** A bundle of the lab held against the very library that would run it: a wrong shape would load, and fail at the first word. */
import type { ModelRecord } from '@mlc-ai/web-llm';
import { parseLlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import { checkAgainstLib, readLibMetadata } from '../files/mlc/library.ts';
import { mlcShapes } from '../files/mlc/names.ts';
import type { ArtifactStore } from '../store/artifacts.ts';
import { cachedBundles, markChecked } from './bundles.ts';

/** More than any library of WebLLM has. */
const MOST_BYTES = 64 * 2 ** 20;

/**
 * Before WebLLM loads a bundle that was held against the published configuration alone: its library is fetched into WebLLM's cache, if
 * it is not there, which WebLLM would do anyway, and its own list of parameters decides.
 * @throws LabError 'network', 'server', or 'bad-input' naming the first parameter that differs
 */
export async function requireLibraryFits(
  store: ArtifactStore,
  { model, model_lib }: Pick<ModelRecord, 'model' | 'model_lib'>,
  signal?: AbortSignal,
  get: typeof fetch = fetch,
): Promise<void> {
  const bundle = (await cachedBundles(store)).find((b) => b.url === model);
  if (!bundle || bundle.checked === 'library') return;
  const key = { scope: 'wasm', url: model_lib } as const;
  const held = await (await store.get(key))?.blob();
  const bytes = held ? new Uint8Array(await held.arrayBuffer()) : await fetched(model_lib, get, signal);
  const config = await (await store.get({ scope: 'model', url: `${model}config.json` }))?.blob();
  if (!config)
    throw new LabError('corrupt-model', `The bundle '${bundle.name}' has no config.json any more.`, {
      safe: 'The checkpoint that it was made of is untouched.',
      next: "Put it into WebLLM's cache again.",
    });
  const shapes = mlcShapes(parseLlamaConfig(JSON.parse(await config.text())));
  const name = new URL(model_lib).pathname.split('/').at(-1)!;
  checkAgainstLib(
    name,
    readLibMetadata(name, bytes),
    shapes,
    bundle.quantisation === 'q0f16' ? 'F16' : 'F32',
  );
  if (!held) {
    const put = await store.put(key, 'application/wasm', bytes.byteLength);
    await put.write(bytes);
    await put.close();
  }
  await markChecked(store, model);
}

async function fetched(
  url: string,
  get: typeof fetch,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const { host } = new URL(url);
  const failed = (code: 'network' | 'server', what: string): LabError =>
    new LabError(code, `${what}, so the library of this bundle cannot be checked.`, {
      safe: "Nothing was loaded; the bundle stays in WebLLM's cache.",
      next: 'Connect once, and try again: the library stays in this browser then.',
    });
  let response: Response;
  try {
    response = await get(url, {
      credentials: 'omit',
      referrerPolicy: 'no-referrer',
      ...(signal && { signal }),
    });
  } catch {
    throw failed('network', `${host} cannot be reached`);
  }
  if (!response.ok) throw failed('server', `${host} answers ${response.status}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes.byteLength > MOST_BYTES) throw failed('server', `${host} sent ${bytes.byteLength} bytes`);
  return bytes;
}
