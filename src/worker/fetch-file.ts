import { LabError } from '../core/errors.ts';

/**
 * A file of the lab's own server.
 * @param onProgress bytes so far and in all (0 where the server does not say)
 * @throws LabError 'not-found' with the address, also where the connection is gone
 */
export async function fetchFile(
  url: string,
  signal: AbortSignal,
  onProgress?: (loaded: number, total: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  let response: Response;
  try {
    response = await fetch(url, { signal });
  } catch (cause) {
    if (signal.aborted) throw cause;
    throw notFound(url, 'the connection failed', 'Check the connection and try again.', cause);
  }
  if (!response.ok) {
    const next =
      response.status === 404
        ? 'The file is missing from the folder that the lab is served from. Reload the page; if you host the lab yourself, put the folder models/ beside its index.html.'
        : 'Try again in a while; if it stays so, tell whoever hosts the lab.';
    throw notFound(url, `the server answered ${response.status}`, next);
  }
  const total = Number(response.headers.get('content-length') ?? 0);
  const parts: Uint8Array[] = [];
  let loaded = 0;
  const reader = response.body?.getReader();
  for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) {
    parts.push(read.value);
    loaded += read.value.length;
    onProgress?.(loaded, total);
  }
  const bytes = new Uint8Array(loaded);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function notFound(url: string, why: string, next: string, cause?: unknown): LabError {
  return new LabError('not-found', `${url.split('/').slice(-2).join('/')} could not be fetched: ${why}.`, {
    safe: 'Checkpoints stored in this browser are untouched and work without a connection.',
    next,
    cause,
  });
}
