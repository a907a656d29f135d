import { chromium } from 'playwright-core';
import { hasBundledChromium, softwareGpuEnv, unpackChromium } from '../software-gpu.mjs';

/**
 * A headless browser with WebGPU: on Linux x64 the Chromium out of npm on its own SwiftShader, whatever is installed;
 * elsewhere the installed Chrome on the machine's GPU.
 *
 * @param {{ args?: string[] }} [options] further command-line switches
 * @returns {Promise<import('playwright-core').Browser>}
 */
export async function launchBrowser({ args = [] } = {}) {
  return launched((options) => chromium.launch(options), args);
}

/**
 * The same with a profile on the disk, as a user's browser has one.
 *
 * @param {string} folder
 * @returns {Promise<import('playwright-core').BrowserContext>}
 */
export async function launchProfile(folder) {
  return launched((options) => chromium.launchPersistentContext(folder, options), []);
}

/**
 * @template T
 * @param {(options: import('playwright-core').LaunchOptions) => Promise<T>} launch
 * @param {string[]} args
 * @returns {Promise<T>}
 */
async function launched(launch, args) {
  if (hasBundledChromium) {
    return launch({
      executablePath: unpackChromium().executable,
      headless: true,
      timeout: 180_000, // a busy machine starts a browser slowly
      env: /** @type {Record<string, string>} */ (softwareGpuEnv()),
      args: [
        '--no-sandbox', // a container's root has none
        '--disable-dev-shm-usage', // /dev/shm of a container is small
        '--enable-unsafe-webgpu',
        '--use-webgpu-adapter=swiftshader',
        ...args,
      ],
    });
  }
  try {
    return await launch({
      channel: 'chrome',
      headless: true,
      args: ['--enable-unsafe-webgpu', ...args],
    });
  } catch (cause) {
    throw new Error('The browser tests need Google Chrome on this system: install it and run them again.', {
      cause,
    });
  }
}
