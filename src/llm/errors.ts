/** What goes wrong in WebLLM, in the lab's words. Its errors are known by their names: a build may rename the classes. */
import { LabError } from '../core/errors.ts';

const SAFE = 'Your checkpoints, answers and verdicts are untouched.';

export const cancelled = (): LabError => new LabError('cancelled', 'Cancelled.');

export const lost = (modelId: string, cause?: unknown): LabError =>
  new LabError('device-lost', `The GPU took back the memory of '${modelId}'.`, {
    safe: SAFE,
    next: 'Load it again; if it happens again, choose a smaller model.',
    cause,
  });

export const unknownModel = (modelId: string): LabError =>
  new LabError('not-found', `WebLLM has no model '${modelId}'.`, {
    safe: SAFE,
    next: 'Choose one of its list.',
  });

export const unreachable = (host: string, modelId: string, cause?: unknown): LabError =>
  new LabError('network', `${host} cannot be reached, and '${modelId}' is not whole in this browser.`, {
    safe: SAFE,
    next: 'Check the connection and try again, or choose a model that is in this browser already.',
    cause,
  });

const named = (error: unknown): string => (error instanceof Error ? error.name : '');
const said = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The engine's WebAssembly ended: it answers nothing any more, and a new one has to be made. */
export const isDead = (error: unknown): boolean =>
  named(error) === 'ExitStatus' || /Program terminated with exit|\bAborted\(/.test(said(error));

const isNoModel = (error: unknown): boolean =>
  ['ModelNotLoadedError', 'WorkerEngineModelNotLoadedError', 'DeviceLostError'].includes(named(error)) ||
  /device (?:was|is) lost/i.test(said(error));

/** @param modelId that was to be loaded */
export function loadFailure(error: unknown, modelId: string): LabError {
  if (error instanceof LabError) return error;
  const what = said(error);
  const about = (code: LabError['code'], why: string, next: string): LabError =>
    new LabError(code, `WebLLM could not load '${modelId}': ${why}.`, { safe: SAFE, next, cause: error });
  if (named(error) === 'QuotaExceededError')
    return about(
      'quota',
      'this browser has no room left for its files',
      'Delete models or checkpoints that you do not need, or choose a smaller model.',
    );
  if (named(error) === 'LinkError' || /LinkError|import object field/.test(what))
    return about(
      'bad-input',
      'its library was built for another version of WebLLM',
      'Choose a model of the list: the list and this version fit each other.',
    );
  if (isNoModel(error))
    return about(
      'out-of-memory',
      'the GPU was lost, mostly for want of memory',
      'Choose a smaller model, or close other tabs that use the GPU.',
    );
  if (named(error) === 'ShaderF16SupportError') return noF16(modelId, error);
  if (named(error) === 'IntegrityError')
    return about('wrong-hash', 'a file is not what its makers published', 'Try again later.');
  if (named(error) === 'TypeError' || named(error) === 'NetworkError' || /fetch|network/i.test(what))
    return about(
      'network',
      'a file did not arrive',
      'Check the connection and try again: what came is kept.',
    );
  if (isDead(error))
    return about('gpu-error', 'its program ended', 'Try again; if it ends again, choose another.');
  return about('gpu-error', what.slice(0, 300), 'Try again, or choose another model.');
}

export const noF16 = (modelId: string, cause?: unknown): LabError =>
  new LabError(
    'bad-input',
    `'${modelId}' computes in 16 bits (shader-f16), which this GPU or browser cannot.`,
    {
      safe: SAFE,
      next: "Choose a variant with 'f32' in its name.",
      cause,
    },
  );

/** @param modelId that was loaded when it was asked */
export function callFailure(error: unknown, modelId: string): LabError {
  if (error instanceof LabError) return error;
  if (isNoModel(error)) return lost(modelId, error);
  if (isDead(error))
    return new LabError('gpu-error', `The program of '${modelId}' ended while it was asked.`, {
      safe: SAFE,
      next: 'Load it again; if it ends again, choose another model.',
      cause: error,
    });
  if (named(error) === 'EmbeddingExceedContextWindowSizeError')
    return new LabError('too-large', 'The text has more tokens than the embedding model takes.', {
      cause: error,
    });
  if (named(error) === 'ContextWindowSizeExceededError')
    return new LabError('too-large', `The text is longer than '${modelId}' can read.`, {
      safe: SAFE,
      next: 'Shorten it, or choose a model with a longer context.',
      cause: error,
    });
  return new LabError('gpu-error', `'${modelId}' could not answer: ${said(error).slice(0, 300)}.`, {
    safe: SAFE,
    next: 'Try again, or choose another model.',
    cause: error,
  });
}
