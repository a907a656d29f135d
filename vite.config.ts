import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';
import { codeDigest, TRAINING_FOLDERS } from './src/cli/code-digest.ts';
import { protocolNow } from './src/cli/protocol.ts';
import { HUB_HOSTS, LLM_HOSTS } from './src/core/hub.ts';

/**
 * What the built page may do. Nothing inline, nothing from elsewhere but what a user downloads from Hugging Face.
 * 'wasm-unsafe-eval' lets libraries compile WebAssembly and nothing more. The same text goes out as a header from the preview server, because a worker takes
 * its policy from its own response and not from the page's meta element.
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  `connect-src 'self' ${[...HUB_HOSTS, ...LLM_HOSTS].join(' ')}`,
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "font-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

function contentSecurity(): Plugin {
  return {
    name: 'content-security-policy',
    apply: 'build',
    transformIndexHtml: () => [
      {
        tag: 'meta',
        attrs: { 'http-equiv': 'Content-Security-Policy', content: contentSecurityPolicy },
        injectTo: 'head-prepend',
      },
    ],
  };
}

export default defineConfig({
  // Relative, so that the built folder works under any sub-path.
  base: './',
  plugins: [svelte(), contentSecurity()],
  // Which engine made a checkpoint, and which protocol a report stands beside: the page has no file system to ask.
  define: {
    __ENGINE_CODE__: JSON.stringify(codeDigest(undefined, TRAINING_FOLDERS)),
    __PROTOCOL__: JSON.stringify(protocolNow()),
  },
  worker: { format: 'es' },
  build: {
    // Every browser with WebGPU is newer than this.
    target: 'es2022',
    // A small asset inlined as a data: URL would need a looser policy.
    assetsInlineLimit: 0,
    sourcemap: true,
    chunkSizeWarningLimit: 600,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  preview: {
    headers: {
      'Content-Security-Policy': `${contentSecurityPolicy}; frame-ancestors 'none'`,
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
    },
  },
});
