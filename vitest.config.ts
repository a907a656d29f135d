import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';
import { codeDigest, TRAINING_FOLDERS } from './src/cli/code-digest.ts';
import { protocolNow } from './src/cli/protocol.ts';

/** Dawn in Node aborts when its objects die with a context, so GPU files share one process and follow each other. */
const oneProcess = { pool: 'forks', maxWorkers: 1, isolate: false, fileParallelism: false } as const;

export default defineConfig({
  plugins: [svelte()],
  define: {
    __ENGINE_CODE__: JSON.stringify(codeDigest(undefined, TRAINING_FOLDERS)),
    __PROTOCOL__: JSON.stringify(protocolNow()),
  },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['tests/unit/**/*.test.ts'],
          testTimeout: 20_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'gpu',
          include: ['tests/{kernels,gradcheck,golden,session}/**/*.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 300_000,
          ...oneProcess,
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['tests/e2e/**/*.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 600_000,
          ...oneProcess,
        },
      },
    ],
  },
});
