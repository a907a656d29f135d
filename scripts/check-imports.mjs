/**
 * The direction of imports between the folders of src/ (docs: README, "the way of the data"). Exits 1 and names each
 * arrow that points against it. Type-only imports count: a type is knowledge too.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

/** The engine's chain, top to bottom: each may import those after it. */
const chain = ['recipes', 'train', 'model', 'kernels', 'gpu'];
const below = (/** @type {string} */ folder) => chain.slice(chain.indexOf(folder) + 1);

/**
 * What each folder of src/ may import besides itself. 'a/b' allows one module and its neighbours of the same name.
 * @type {Record<string, string[]>}
 */
const allowed = {
  core: [],
  world: ['core'],
  files: ['core'],
  report: ['core'],
  data: ['core', 'world', 'files'],
  hub: ['core', 'files', 'store'],
  store: ['core'],
  gpu: ['core'],
  kernels: [...below('kernels'), 'core'],
  model: [...below('model'), 'core', 'files'],
  eval: ['model', 'data', 'core', 'world'],
  train: [...below('train'), 'core', 'data', 'eval'],
  recipes: [...below('recipes'), 'core', 'data', 'eval', 'world'],
  // What is seen by laying weights, gradients and whole runs side by side.
  insights: ['recipes', ...below('recipes'), 'core', 'data', 'eval', 'world'],
  // Another engine's language models behind ports; what they are asked as a judge is eval's.
  llm: ['core', 'eval'],
  reference: ['core'],
  // The self-check and the golden cases lay the engine beside the oracle.
  selfcheck: [
    'insights',
    'recipes',
    'train',
    ...below('train'),
    'core',
    'data',
    'eval',
    'files',
    'reference',
  ],
  app: ['core', 'report', 'worker/protocol'],
  ui: ['app', 'core', 'report', 'worker/protocol'],
  main: ['ui', 'app', 'core'],
  worker: ['*'],
  cli: ['*'],
};

/**
 * Folders that must stay blind to others, also by way of what they import.
 * @type {{ from: string; to: string; why: string }[]}
 */
const blind = [
  {
    from: 'src/eval/judges/rules/',
    to: 'src/world/',
    why: 'the rules judge knows nothing of the tiny world, or it could not be held against the exact judge',
  },
];

/**
 * Ways by which a folder reaches what it must not, one for each of its files.
 * @param {readonly Arrow[]} arrows
 * @returns {Forbidden[]}
 */
export function reached(arrows) {
  /** @type {Map<string, Arrow[]>} */
  const out = new Map();
  for (const arrow of arrows) out.set(arrow.from, [...(out.get(arrow.from) ?? []), arrow]);
  return blind.flatMap(({ from, to, why }) =>
    [...out.keys()]
      .filter((file) => file.startsWith(from))
      .flatMap((file) => {
        /** @type {Map<string, string>} */
        const by = new Map([[file, file]]);
        for (const [at, way] of by) {
          for (const next of out.get(at) ?? []) {
            if (next.to.startsWith(to)) return [{ ...next, from: way, why }];
            if (!by.has(next.to)) by.set(next.to, `${way} -> ${next.to}`);
          }
        }
        return [];
      }),
  );
}

/**
 * @typedef {{ from: string; to: string; dynamic: boolean }} Arrow  paths relative to the root, with '/'
 * @typedef {Arrow & { why: string }} Forbidden
 */

/** The part of src/ that a path belongs to: its folder, or its bare name for a file directly in src/. */
const partOf = (/** @type {string} */ path) => path.split('/')[1]?.replace(/\.ts$/, '') ?? '';

/**
 * @param {Arrow} arrow
 * @returns {string | null} why the arrow is forbidden, or null
 */
export function forbidden({ from, to, dynamic }) {
  if (!from.startsWith('src/')) return null;
  if (to.startsWith('tests/') || to.startsWith('scripts/')) return 'src never imports tests or scripts';
  if (!to.startsWith('src/')) return null;
  const source = partOf(from);
  const target = partOf(to);
  if (source === target) return null;
  const rule = allowed[source];
  if (!rule) return `no rule names src/${source}: add it to scripts/check-imports.mjs`;
  if (['reference', 'selfcheck'].includes(target) && source === 'worker') {
    return dynamic ? null : `the worker loads ${target} dynamically, when it is asked for`;
  }
  if (target === 'cli') return 'nothing imports cli';
  if (rule.includes('*') && target !== 'ui' && target !== 'app') return null;
  if (rule.some((one) => one === target || to.startsWith(`src/${one}.`) || to.startsWith(`src/${one}/`)))
    return null;
  return `${source} may import ${rule.length ? rule.join(', ') : 'nothing'}`;
}

/**
 * The imports, static, dynamic and type-only, that a module's text writes down.
 * @param {string} text
 * @param {string} path
 * @returns {{ specifier: string; dynamic: boolean }[]}
 */
export function importsOf(text, path) {
  const scripts = path.endsWith('.svelte')
    ? [...text.matchAll(/<script\b[^>]*>([\s\S]*?)<\/script>/g)].map((match) => match[1] ?? '')
    : [text];
  /** @type {{ specifier: string; dynamic: boolean }[]} */
  const found = [];
  for (const script of scripts) {
    const source = ts.createSourceFile(path, script, ts.ScriptTarget.Latest);
    const visit = (/** @type {ts.Node} */ node) => {
      if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier) {
        if (ts.isStringLiteral(node.moduleSpecifier)) {
          found.push({ specifier: node.moduleSpecifier.text, dynamic: false });
        }
      } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
        const [argument] = node.arguments;
        if (argument && ts.isStringLiteralLike(argument))
          found.push({ specifier: argument.text, dynamic: true });
      } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
        if (ts.isStringLiteral(node.argument.literal)) {
          found.push({ specifier: node.argument.literal.text, dynamic: false });
        }
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  return found;
}

/**
 * Every forbidden arrow under `root`/src, and how many arrows were looked at.
 * @param {string} root
 * @returns {{ bad: Forbidden[]; arrows: number; files: number }}
 */
export function checkImports(root) {
  const slashed = (/** @type {string} */ path) => relative(root, path).split(sep).join('/');
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .map((path) => join(root, 'src', path))
    .filter((path) => /\.(ts|svelte)$/.test(path));
  /** @type {Forbidden[]} */
  const bad = [];
  /** @type {Arrow[]} */
  const arrows = [];
  for (const file of files) {
    for (const { specifier, dynamic } of importsOf(readFileSync(file, 'utf8'), file)) {
      if (!specifier.startsWith('.') && !specifier.startsWith('/')) continue;
      const target = specifier.startsWith('/') ? join(root, specifier) : resolve(dirname(file), specifier);
      const arrow = { from: slashed(file), to: slashed(target.replace(/\?.*$/, '')), dynamic };
      arrows.push(arrow);
      const why = forbidden(arrow);
      if (why) bad.push({ ...arrow, why });
    }
  }
  bad.push(...reached(arrows));
  return { bad, arrows: arrows.length, files: files.length };
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { bad, arrows, files } = checkImports(resolve(dirname(fileURLToPath(import.meta.url)), '..'));
  for (const { from, to, why } of bad) console.error(`${from} -> ${to}: ${why}`);
  console.log(`imports: ${arrows} arrows in ${files} files, ${bad.length} against the direction`);
  if (arrows === 0) console.error('imports: nothing was found to check, which cannot be right');
  process.exit(bad.length || arrows === 0 ? 1 : 0);
}
