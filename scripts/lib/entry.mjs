/**
 * The child process of scripts/run.mjs: loads a TypeScript entry through Vite's module runner, so that `?raw` imports,
 * import.meta.glob and JSON work as they do in the page, calls its main() and ends the process with the result.
 */
import { resolve } from 'node:path';
import { createServer, isRunnableDevEnvironment } from 'vite';
import { root } from '../software-gpu.mjs';

const [entry, ...args] = process.argv.slice(2);

const server = await createServer({
  root,
  configFile: false,
  appType: 'custom',
  logLevel: 'error',
  publicDir: false,
  cacheDir: resolve(root, 'node_modules/.cache/sdd-lab/vite'),
  optimizeDeps: { noDiscovery: true },
  server: { middlewareMode: true, ws: false, hmr: false, watch: null },
});

let code = 1;
try {
  const { ssr } = server.environments;
  if (!ssr || !isRunnableDevEnvironment(ssr)) throw new Error('this Vite has no module runner for Node');
  const { main } = await ssr.runner.import(resolve(root, entry ?? ''));
  if (typeof main !== 'function') throw new Error(`${entry} does not export main(argv)`);
  code = await main(args);
} catch (error) {
  // A LabError says in plain words what happened, what is safe and what to do next; a stack would only hide that.
  if (error instanceof Error && 'code' in error && 'next' in error) {
    const { message, safe, next } = /** @type {Error & { safe?: string; next?: string }} */ (error);
    console.error([message, safe, next].filter(Boolean).join('\n'));
    if (process.env.DEBUG) console.error(error);
  } else if (
    error instanceof TypeError &&
    String(/** @type {any} */ (error).code).startsWith('ERR_PARSE_ARGS')
  ) {
    console.error(error.message);
  } else {
    console.error(error);
  }
}
// Dawn's threads outlive main(), and its objects must not be torn down one by one: end here and now.
await new Promise((done) => process.stdout.write('', done));
await new Promise((done) => process.stderr.write('', done));
process.exit(Number.isInteger(code) ? code : 1);
