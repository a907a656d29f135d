import { preview } from 'vite';
import { root } from '../software-gpu.mjs';

/**
 * Serves dist/ with the headers of vite.config.ts on localhost. A port that is taken makes way for the next free one.
 *
 * @param {{ port?: number; base?: string; open?: boolean }} [options] port 0: any free one; base: a sub-path like '/lab/'
 * @returns {Promise<{ url: string; close(): Promise<void> }>}
 */
export async function serveDist({ port = 4173, base, open = false } = {}) {
  const server = await preview({
    root,
    logLevel: 'error',
    ...(base ? { base } : {}),
    preview: { port, host: 'localhost', strictPort: false, open },
  });
  const [url] = server.resolvedUrls?.local ?? [];
  if (!url) throw new Error('The server did not say where it listens.');
  return {
    url,
    close: () => server.close(),
  };
}
