/** Hugging Face's hub: the hosts that the lab may ask besides its own, and how a model there is named. A leaf, read by the build too. */
import { LabError } from './errors.ts';

/** Where models are looked up and every file is asked for. */
export const HUB_URL = 'https://huggingface.co';

/**
 * Every host besides its own that the downloader contacts, as sources of a Content-Security-Policy: the build writes them into
 * `connect-src` (with LLM_HOSTS, below), and the downloader checks each address against them. Large files are asked of the hub, which sends the browser
 * on to stores and CDNs whose names change with region and year; all of those that it publishes
 * (https://huggingface.co/.well-known/meta.json) stand under hf.co, which holds no pages of users.
 */
export const HUB_HOSTS: readonly string[] = [HUB_URL, 'https://*.hf.co'];

/** Where WebLLM's compiled model libraries lie; their weights come from the hub. */
export const LLM_HOSTS: readonly string[] = ['https://raw.githubusercontent.com'];

/** Whether an address belongs to one of `sources`, as a Content-Security-Policy would read them. */
export function isAllowed(address: string, sources: readonly string[]): boolean {
  if (!URL.canParse(address)) return false;
  const { origin, protocol, host } = new URL(address);
  return sources.some((source) => {
    const [scheme, name] = source.split('://*.');
    return name === undefined ? origin === source : protocol === `${scheme}:` && host.endsWith(`.${name}`);
  });
}

export interface HubName {
  /** owner/name */
  repo: string;
  /** A branch, tag or commit; null for the newest of the main branch. */
  revision: string | null;
}

/** As the hub allows them: letters, digits, '-', '_' and '.', no two of '-' or '.' in a row. */
const PART = /^(?!.*(?:--|\.\.))\w[\w.-]{0,95}$/;
const REVISION = /^(?!.*\.\.)[\w][\w./-]{0,199}$/;

/**
 * `owner/name`, `owner/name@revision`, or the address of a model's page.
 * @throws LabError 'bad-input'
 */
export function parseHubName(text: string): HubName {
  const typed = text.trim();
  const path = typed.startsWith(`${HUB_URL}/`) ? typed.slice(HUB_URL.length + 1).replace(/\/+$/, '') : typed;
  const [, repo, tree, at] = /^([^/@]+\/[^/@]+)(?:\/tree\/([^@]+)|@(.+))?$/.exec(path) ?? [];
  const revision = tree ?? at ?? null;
  const parts = repo?.split('/') ?? [];
  if (
    repo !== undefined &&
    parts.every((part) => PART.test(part)) &&
    (revision === null || REVISION.test(revision))
  )
    return { repo, revision };
  throw new LabError('bad-input', `'${typed.slice(0, 120)}' does not name a model at Hugging Face.`, {
    safe: 'Nothing was asked of anybody.',
    next: 'Type owner/name, for instance HuggingFaceTB/SmolLM2-135M-Instruct; @revision behind it names a branch, tag or commit.',
  });
}
