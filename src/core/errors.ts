/** What went wrong, as a name that code may switch on. */
export type ErrorCode =
  | 'no-webgpu'
  | 'no-adapter'
  | 'device-lost'
  | 'out-of-memory'
  | 'too-large'
  | 'gpu-error'
  | 'non-finite'
  | 'quota'
  | 'storage'
  | 'store-closed'
  | 'newer-database'
  | 'store-closed'
  | 'corrupt-model'
  | 'bad-config'
  | 'bad-input'
  | 'not-found'
  | 'files-needed'
  | 'network'
  | 'server'
  | 'gated'
  | 'wrong-hash'
  | 'cancelled'
  | 'worker-crashed'
  | 'internal';

/**
 * An error in words for the user: `message` says what happened, `safe` what is not lost, `next` what to do now.
 * Empty strings mean that there is nothing to say.
 */
export class LabError extends Error {
  readonly code: ErrorCode;
  readonly safe: string;
  readonly next: string;

  constructor(code: ErrorCode, what: string, opts: { safe?: string; next?: string; cause?: unknown } = {}) {
    super(what, opts.cause === undefined ? undefined : { cause: opts.cause });
    this.name = 'LabError';
    this.code = code;
    this.safe = opts.safe ?? '';
    this.next = opts.next ?? '';
  }
}
