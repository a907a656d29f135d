/** Where a bundle of the lab lies in WebLLM's cache. The addresses belong to nobody: `.invalid` never resolves (RFC 2606). */
export const BUNDLE_ORIGIN = 'https://models.lab.invalid';

/**
 * What WebLLM asks for as `model`, with a slash at its end: it asks for each file below.
 * @param hash of the content in hex: other weights get another address, as WebLLM checks none and leaves old files behind
 */
export function bundleUrl(name: string, hash: string): string {
  const plain = name
    .normalize('NFKD')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[.-]+|[.-]+$/g, '')
    .slice(0, 60);
  return `${BUNDLE_ORIGIN}/${plain || 'model'}-${hash.slice(0, 16)}/resolve/main/`;
}

export const isBundleUrl = (url: string): boolean =>
  url.startsWith(`${BUNDLE_ORIGIN}/`) && url.endsWith('/resolve/main/');

/** The folder of an address in the cache: all but the file's name. */
export const folderOfUrl = (url: string): string => url.slice(0, url.lastIndexOf('/') + 1);

/** 'mlc-ai/SmolLM2-135M-Instruct-q0f32-MLC' of 'https://huggingface.co/mlc-ai/.../resolve/main/', for people. */
export function nameOfUrl(url: string): string {
  try {
    const path = decodeURIComponent(new URL(url).pathname);
    return path.replace(/\/resolve\/[^/]+\/$/, '').replace(/^\/|\/$/g, '') || url;
  } catch {
    return url;
  }
}
