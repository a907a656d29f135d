/** npm start [-- --open --port N]: builds the lab when its sources changed, serves it and prints the address. */
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { helpIfAsked } from './lib/help.mjs';
import { build, isStale } from './lib/build.mjs';
import { serveDist } from './lib/serve.mjs';

helpIfAsked(fileURLToPath(import.meta.url), process.argv.slice(2));

const { values } = parseArgs({ options: { open: { type: 'boolean' }, port: { type: 'string' } } });
const port = values.port === undefined ? 4173 : Number(values.port);
if (!Number.isInteger(port) || port < 0 || port > 65535) {
  console.error(`--port takes a number from 0 to 65535, not '${values.port}'.`);
  process.exit(2);
}

if (isStale()) {
  console.log('Building the lab ...');
  const code = await build();
  if (code !== 0) {
    console.error('The build failed; see above. Nothing is served.');
    process.exit(code);
  }
}
const { url } = await serveDist({ port, open: values.open ?? false });
console.log(`SDD Lab: ${url}   (Ctrl-C ends it)`);
