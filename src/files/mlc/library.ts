/**
 * What a compiled model library of WebLLM (.wasm) says of the weights that it takes. Its `_metadata` function answers a JSON text
 * that lies in the file as it is, so it is found by a scan of the bytes: nothing of the library is run.
 */
import * as v from 'valibot';
import { LabError } from '../../core/errors.ts';
import type { Dtype } from '../dtypes.ts';
import { mlcType } from './manifest.ts';

const PARAM = v.object({
  name: v.pipe(v.string(), v.minLength(1)),
  // a name or -1 stands for a length that is not compiled in
  shape: v.array(v.union([v.pipe(v.number(), v.safeInteger()), v.string()])),
  dtype: v.string(),
});
const METADATA = v.object({
  model_type: v.optional(v.string()),
  quantization: v.optional(v.string()),
  params: v.pipe(v.array(PARAM), v.minLength(1)),
});

export interface LibMetadata {
  modelType: string | null;
  quantisation: string | null;
  /** Lengths that are not compiled in are null. */
  params: Map<string, { shape: (number | null)[]; dtype: string }>;
}

const KEY = new TextEncoder().encode('"params"');
/** Larger than any that MLC writes: 1000 tensors take some 200 KB. */
const MAX_TEXT = 8 * 2 ** 20;
/** How far before its list of parameters the text may begin. */
const MAX_HEAD = 256 * 2 ** 10;
/** Bytes that are looked at for all candidates together: a file that is made to be slow is given up. */
const MAX_WORK = 64 * 2 ** 20;

const [OPEN, CLOSE, QUOTE, BACKSLASH] = [0x7b, 0x7d, 0x22, 0x5c];

/**
 * @param bytes the whole library
 * @throws LabError 'bad-input' when no list of parameters is in it, or two different ones
 */
export function readLibMetadata(name: string, bytes: Uint8Array): LibMetadata {
  if (String.fromCharCode(...bytes.subarray(0, 4)) !== '\0asm')
    throw unreadable(name, 'it is not WebAssembly');
  const found = new Map<string, LibMetadata>();
  const budget = { left: MAX_WORK };
  for (let at = find(bytes, KEY, 0); at >= 0; at = find(bytes, KEY, at + 1)) {
    const metadata = around(bytes, at, budget);
    if (metadata) found.set(JSON.stringify([...metadata.params]), metadata);
    if (found.size > 1) throw unreadable(name, 'it holds two different lists of parameters');
    if (budget.left <= 0) break;
  }
  const [metadata] = found.values();
  if (!metadata) throw unreadable(name, 'no list of parameters was found in it');
  return metadata;
}

/** The smallest JSON object around a place that is metadata. */
function around(bytes: Uint8Array, at: number, budget: { left: number }): LibMetadata | null {
  for (let start = at; start >= Math.max(0, at - MAX_HEAD) && budget.left > 0; start--) {
    budget.left--;
    if (bytes[start] !== OPEN) continue;
    const end = endOf(bytes, start, budget);
    if (end === null || end <= at) continue;
    const metadata = parsed(bytes.subarray(start, end));
    if (metadata) return metadata;
  }
  return null;
}

/** Where a balanced object ends; null: it does not, or a byte stands in it that no JSON text has. */
function endOf(bytes: Uint8Array, start: number, budget: { left: number }): number | null {
  const limit = Math.min(bytes.length, start + MAX_TEXT, start + budget.left);
  let depth = 0;
  let inText = false;
  let i = start;
  for (; i < limit; i++) {
    const b = bytes[i]!;
    if (b < 0x20 && b !== 0x0a && b !== 0x0d && b !== 0x09) break;
    if (b === QUOTE) inText = !inText;
    else if (inText) {
      if (b === BACKSLASH) i++;
    } else if (b === OPEN) depth++;
    else if (b === CLOSE && --depth === 0) break;
  }
  budget.left -= i - start;
  return depth === 0 && bytes[i] === CLOSE ? i + 1 : null;
}

function parsed(bytes: Uint8Array): LibMetadata | null {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return null; // some other text with these letters in it
  }
  const result = v.safeParse(METADATA, json);
  if (!result.success) return null;
  const { model_type, quantization, params } = result.output;
  return {
    modelType: model_type ?? null,
    quantisation: quantization ?? null,
    params: new Map(
      params.map((p) => [
        p.name,
        { shape: p.shape.map((n) => (typeof n === 'number' && n >= 0 ? n : null)), dtype: p.dtype },
      ]),
    ),
  };
}

function find(bytes: Uint8Array, what: Uint8Array, from: number): number {
  for (let i = bytes.indexOf(what[0]!, from); i >= 0; i = bytes.indexOf(what[0]!, i + 1)) {
    let n = 1;
    while (n < what.length && bytes[i + n] === what[n]) n++;
    if (n === what.length) return i;
  }
  return -1;
}

/** Of one kind of mismatch, this many are named. */
const NAMED = 3;

/**
 * Whether a library takes these weights. A wrong shape would load, and fail at the first word.
 * @throws LabError 'bad-input' naming the first tensors that are missing, unknown, of another shape or of another type
 */
export function checkAgainstLib(
  library: string,
  { params }: LibMetadata,
  shapes: ReadonlyMap<string, readonly number[]>,
  dtype: Dtype,
): void {
  const { dtype: own } = mlcType(dtype);
  const problems: string[] = [];
  const name = (kind: string, all: string[]): void => {
    if (all.length === 0) return;
    const rest = all.length - NAMED;
    problems.push(`${kind} ${all.slice(0, NAMED).join('; ')}${rest > 0 ? ` and ${rest} more` : ''}`);
  };
  name(
    'it wants',
    [...params.keys()].filter((n) => !shapes.has(n)),
  );
  name(
    'it does not know',
    [...shapes.keys()].filter((n) => !params.has(n)),
  );
  const both = [...shapes].flatMap(([n, shape]) => {
    const wanted = params.get(n);
    return wanted ? [{ n, shape, wanted }] : [];
  });
  const written = (shape: readonly (number | null)[]): string =>
    `[${shape.map((x) => x ?? 'any').join(', ')}]`;
  name(
    'shapes differ:',
    both
      .filter(
        ({ shape, wanted: w }) =>
          w.shape.length !== shape.length || w.shape.some((x, i) => x !== null && x !== shape[i]),
      )
      .map(({ n, shape, wanted }) => `${n} has ${written(shape)}, it wants ${written(wanted.shape)}`),
  );
  name(
    'types differ:',
    both
      .filter(({ wanted }) => wanted.dtype !== own)
      .map(({ n, wanted }) => `${n} is ${own}, it wants ${wanted.dtype}`),
  );
  if (problems.length === 0) return;
  throw new LabError('bad-input', `${library} does not take these weights: ${problems.join('. ')}.`, {
    safe: 'Nothing was written.',
    next: 'Take the library that was compiled for this shape and type; the stock ones are made for SmolLM2-135M, SmolLM2-360M and Llama-3.2-1B.',
  });
}

const unreadable = (name: string, why: string): LabError =>
  new LabError('bad-input', `${name} cannot be used to check the weights: ${why}.`, {
    safe: 'Nothing was written.',
    next: 'Name a model library of WebLLM (a file that ends with -webgpu.wasm).',
  });
