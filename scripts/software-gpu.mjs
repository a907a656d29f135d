/**
 * The GPU that Node and the test browser use, decided before a process starts: Dawn and Chromium find their Vulkan
 * driver through environment variables that the loader reads once.
 *
 * - VK_ICD_FILENAMES set by the user, or SDD_GPU=system: the environment is left as it is.
 * - Linux x64 otherwise: SwiftShader (a Vulkan driver on the CPU) out of the npm package @sparticuz/chromium, which
 *   needs nothing installed on the machine.
 * - elsewhere: the system's own driver (Metal, Direct3D 12, Vulkan).
 *
 * As a command: `node scripts/software-gpu.mjs [--software] COMMAND [ARGS]` runs COMMAND in that environment.
 */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';
import { tarFiles } from './lib/tar.mjs';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const cacheRoot = join(root, 'node_modules', '.cache', 'sdd-lab');

/** The archive's own file names the folders of a cloud function. The machine's fonts, if any, serve other scripts. */
const fontsConf = (/** @type {string} */ folder) => `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>${join(folder, 'fonts')}</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>${join(folder, 'fonts-cache')}</cachedir>
</fontconfig>
`;

/** True where @sparticuz/chromium's archives (Linux x64 binaries) can run. */
export const hasBundledChromium = process.platform === 'linux' && process.arch === 'x64';

/**
 * Unpacks the bundled Chromium, its SwiftShader, the libraries a bare machine lacks and a font, once per version.
 * Written to a folder of its own and renamed into place, so that an interrupted or parallel run leaves nothing half done.
 *
 * @returns {{ executable: string; libraries: string[]; icd: string; fonts: string }}
 */
export function unpackChromium() {
  if (!hasBundledChromium) {
    throw new Error(
      'The bundled Chromium is for Linux x64; here the installed Chrome and the system GPU are used.',
    );
  }
  const main = createRequire(import.meta.url).resolve('@sparticuz/chromium');
  const home = main.slice(0, main.lastIndexOf('@sparticuz/chromium') + '@sparticuz/chromium'.length);
  const { version } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
  const folder = join(cacheRoot, `chromium-${version}`);
  if (!existsSync(folder)) {
    const fresh = `${folder}.${process.pid}.part`;
    rmSync(fresh, { recursive: true, force: true });
    mkdirSync(fresh, { recursive: true });
    const unpacked = (/** @type {string} */ name) =>
      brotliDecompressSync(readFileSync(join(home, 'bin', name)));
    writeFileSync(join(fresh, 'chromium'), unpacked('chromium.br'), { mode: 0o755 });
    for (const archive of ['al2023.tar.br', 'swiftshader.tar.br', 'fonts.tar.br']) {
      for (const file of tarFiles(unpacked(archive))) {
        const path = join(fresh, file.name);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, file.data);
        chmodSync(path, file.mode | 0o600);
      }
    }
    try {
      renameSync(fresh, folder);
    } catch (error) {
      rmSync(fresh, { recursive: true, force: true });
      if (!existsSync(folder)) throw error; // otherwise another process was first, with the same content
    }
  }
  // Fontconfig takes absolute paths, which change when the checkout is moved.
  const fonts = join(folder, 'fonts.conf');
  if (readFileSync(fonts, 'utf8') !== fontsConf(folder)) writeFileSync(fonts, fontsConf(folder));
  return {
    executable: join(folder, 'chromium'),
    libraries: [join(folder, 'lib'), folder],
    icd: join(folder, 'vk_swiftshader_icd.json'),
    fonts,
  };
}

/**
 * The environment for a process that uses SwiftShader, whatever the caller's own environment says.
 * @returns {NodeJS.ProcessEnv}
 */
export function softwareGpuEnv(env = process.env) {
  const { libraries, icd, fonts } = unpackChromium();
  // Chromium and Mesa both want a private folder here; Vulkan loaders warn without one.
  const runtime = join(tmpdir(), `sdd-lab-${process.getuid?.() ?? 0}`);
  mkdirSync(runtime, { recursive: true, mode: 0o700 });
  const { VK_DRIVER_FILES: _, VK_ADD_DRIVER_FILES: __, ...rest } = env;
  return {
    ...rest,
    LD_LIBRARY_PATH: libraries.join(':') + (env.LD_LIBRARY_PATH ? `:${env.LD_LIBRARY_PATH}` : ''),
    VK_ICD_FILENAMES: icd,
    XDG_RUNTIME_DIR: env.XDG_RUNTIME_DIR ?? runtime,
    FONTCONFIG_FILE: fonts,
  };
}

/**
 * The environment for a command started by a person: their own driver where they chose one, SwiftShader otherwise.
 * @returns {{ env: NodeJS.ProcessEnv; software: boolean }}
 */
export function gpuEnv(env = process.env) {
  const chosen = env.SDD_GPU === 'system' || Boolean(env.VK_ICD_FILENAMES);
  if (chosen || !hasBundledChromium) return { env: { ...env }, software: false };
  return { env: softwareGpuEnv(env), software: true };
}

/**
 * The environment for the required tests: SwiftShader, unless SDD_GPU=system says otherwise. A driver that merely
 * happens to be named in the environment does not count.
 * @returns {{ env: NodeJS.ProcessEnv; software: boolean }}
 */
export function testGpuEnv(env = process.env) {
  if (env.SDD_GPU === 'system' || !hasBundledChromium) return { env: { ...env }, software: false };
  return { env: softwareGpuEnv(env), software: true };
}

/**
 * The exit code a shell would report for a finished child.
 * @param {number | null} code
 * @param {NodeJS.Signals | null} signal
 */
export function exitCode(code, signal) {
  return code ?? 128 + (signal ? constants.signals[signal] : 0);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const argv = process.argv.slice(2);
  const forced = argv[0] === '--software';
  const [command, ...args] = forced ? argv.slice(1) : argv;
  if (!command) {
    console.error('usage: node scripts/software-gpu.mjs [--software] COMMAND [ARGS]');
    process.exit(2);
  }
  const { env } = forced ? testGpuEnv() : gpuEnv();
  env.PATH = `${join(root, 'node_modules', '.bin')}${process.platform === 'win32' ? ';' : ':'}${env.PATH ?? ''}`;
  const child = spawn(command, args, { env, stdio: 'inherit', shell: process.platform === 'win32' });
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM']))
    process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`${command}: ${error.message}`);
    process.exit(127);
  });
  child.on('exit', (code, signal) => process.exit(exitCode(code, signal)));
}
