import { LabError } from '../core/errors.ts';
import type { ErrorInfo } from './protocol.ts';

/** Any failure as the page shows it. What is not a LabError is a fault of the lab, and says so. */
export function toErrorInfo(error: unknown): ErrorInfo {
  if (error instanceof LabError) {
    return { code: error.code, what: error.message, safe: error.safe, next: error.next };
  }
  if (error instanceof Error && error.name === 'AbortError') return toErrorInfo(cancelled());
  return {
    code: 'internal',
    what: `The lab made a mistake: ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`,
    safe: 'Everything stored in this browser is untouched.',
    next: 'Reload the page; if it happens again, please report it with this text.',
  };
}

export function cancelled(): LabError {
  return new LabError('cancelled', 'Cancelled.');
}
