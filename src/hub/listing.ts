/**
 * What a repository holds. @huggingface/hub looks models up and lists their files with the hashes that the hub keeps of them. Its
 * `downloadFile` is not used: it gives a Blob that a browser cannot go on with after a reload, tries nothing again, checks no
 * hash, and for files in the newer store speaks a protocol of its own with further hosts.
 */
import { listFiles, modelInfo } from '@huggingface/hub';
import { LabError } from '../core/errors.ts';
import { HUB_URL, type HubName } from '../core/hub.ts';
import type { HubHttp } from './http.ts';
import type { HubFile } from './plan.ts';

export interface Listing {
  repo: string;
  /** The commit that everything is taken from. */
  commit: string;
  /** Files of its top folder by name. */
  files: Map<string, HubFile>;
}

const HEX40 = /^[0-9a-f]{40}$/;
const HEX64 = /^[0-9a-f]{64}$/;

/** @throws LabError 'gated', 'not-found', 'network', 'server' */
export async function list(
  http: HubHttp,
  { repo, revision }: HubName,
  signal: AbortSignal,
): Promise<Listing> {
  const at = revision === null ? '' : `@${revision}`;
  const hub = { hubUrl: http.options.url, fetch: http.fetch(`model ${repo}${at}`, signal) };
  const info = await understood(repo, () =>
    modelInfo({ name: repo, ...(revision !== null && { revision }), additionalFields: ['sha'], ...hub }),
  );
  const commit = info.sha;
  if (typeof commit !== 'string' || !HEX40.test(commit)) throw strange(repo);
  if (info.gated) throw gated(repo);
  const files = new Map<string, HubFile>();
  await understood(repo, async () => {
    const page = { repo: { type: 'model', name: repo } as const, revision: commit, ...hub };
    for await (const { type, path, size, oid, lfs } of listFiles(page)) {
      if (type !== 'file') continue;
      // the hub keeps the SHA-256 of large files; of small ones, Git's own hash of their content
      const hash = lfs ? { kind: 'sha256' as const, hex: lfs.oid } : { kind: 'git' as const, hex: oid ?? '' };
      const bytes = lfs?.size ?? size;
      if (
        !(hash.kind === 'sha256' ? HEX64 : HEX40).test(hash.hex) ||
        !Number.isSafeInteger(bytes) ||
        bytes < 0
      )
        throw strange(repo);
      files.set(path, { name: path, bytes, hash });
    }
  });
  return { repo, commit, files };
}

/** The library throws plain errors where an answer is not what it should be. */
async function understood<T>(repo: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    if (cause instanceof LabError || (cause instanceof Error && cause.name === 'AbortError')) throw cause;
    throw strange(repo, cause);
  }
}

function strange(repo: string, cause?: unknown): LabError {
  return new LabError('server', `What Hugging Face says about ${repo} cannot be understood.`, {
    safe: 'Nothing was downloaded.',
    next: 'Try again later, or download the files yourself and open their folder.',
    cause,
  });
}

function gated(repo: string): LabError {
  return new LabError(
    'gated',
    `Hugging Face gives ${repo} only to those who log in and agree to its licence.`,
    {
      safe: 'Nothing was downloaded.',
      next: `Log in at ${HUB_URL}/${repo}, agree, download all files into one folder, then open that folder here.`,
    },
  );
}
