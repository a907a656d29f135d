/** npm run build: builds dist/ and remembers from which inputs. */
import { build } from './lib/build.mjs';

process.exit(await build());
