/** Which files of a repository a model is made of, and whether the lab can use it: known before its weights are fetched. */
import { parseLlamaConfig, type LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import type { HubName } from '../core/hub.ts';
import { INDEX, listed, parseWeightMap, SINGLE } from '../files/checkpoint.ts';
import { bytesSource, readJson } from '../files/source.ts';
import { checksum } from './checksum.ts';
import type { HubHttp } from './http.ts';
import { list, type Listing } from './listing.ts';
import type { HubFile, Plan } from './plan.ts';

export interface Found {
  plan: Plan;
  config: LlamaConfig;
}

/** Read by src/files/model-files.ts beside the weights; only the first has to be there. */
const SMALL = [
  'config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'generation_config.json',
  'chat_template.jinja',
  // it may say that an attack made the weights
  'README.md',
];
/** What llama2.c's models have instead of tokenizer.json. */
const PIECES = 'vocab.json';

/** A small file longer than this is none: no tokenizer.json in use has 40 MB. */
const MOST_SMALL = 128 * 2 ** 20;

export const addressOf = (
  http: HubHttp,
  { repo, commit }: Pick<Plan, 'repo' | 'commit'>,
  name: string,
): string => `${http.options.url}/${repo}/resolve/${commit}/${encodeURIComponent(name)}`;

/**
 * Looks a model up: commit, files, configuration. Of its files only config.json and the index of the shards are fetched.
 * @throws LabError 'bad-config' naming what is unsupported, 'not-found' naming the file that is missing, and as HubHttp
 */
export async function find(http: HubHttp, name: HubName, signal: AbortSignal): Promise<Found> {
  const listing = await list(http, name, signal);
  const json = async (entry: HubFile): Promise<unknown> =>
    readJson(bytesSource(entry.name, await small(http, listing, entry, signal)));
  const config = parseLlamaConfig(await json(wanted(listing, 'config.json')));
  const tokenizer = listing.files.has('tokenizer.json') ? [] : [wanted(listing, PIECES)];
  const description = SMALL.map((one) => listing.files.get(one)).filter((one) => one !== undefined);
  const weights = await weightsOf(listing, json);
  const files = [...description, ...tokenizer, ...weights];
  return { plan: { repo: listing.repo, revision: name.revision, commit: listing.commit, files }, config };
}

async function weightsOf(listing: Listing, json: (entry: HubFile) => Promise<unknown>): Promise<HubFile[]> {
  const single = listing.files.get(SINGLE);
  if (single) return [single];
  const index = listing.files.get(INDEX);
  if (!index) throw noWeights(listing);
  const shards = [...new Set(parseWeightMap(await json(index)).values())];
  const absent = shards.filter((shard) => !listing.files.has(shard));
  if (absent.length > 0)
    throw new LabError(
      'corrupt-model',
      `The index of ${listing.repo} names ${listed('file', absent)}, which it does not hold.`,
      {
        safe: 'Nothing was downloaded.',
        next: 'Choose another model, or another revision of this one.',
      },
    );
  return [index, ...shards.map((shard) => listing.files.get(shard)!)];
}

/** The content of a small file, in memory and checked. */
async function small(
  http: HubHttp,
  listing: Listing,
  entry: HubFile,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  if (entry.bytes > MOST_SMALL) throw wrong(listing.repo, entry.name);
  const what = `${entry.name} of ${listing.repo}`;
  const answer = await http.fetch(what, signal)(addressOf(http, listing, entry.name));
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if ((await checksum(bytesSource(entry.name, bytes), entry.hash.kind)) !== entry.hash.hex)
    throw wrong(listing.repo, entry.name);
  return bytes;
}

function wanted({ repo, files }: Listing, name: string): HubFile {
  const entry = files.get(name);
  if (entry) return entry;
  const missing = name === PIECES ? 'tokenizer.json' : name;
  throw new LabError('not-found', `${repo} has no ${missing}.`, {
    safe: 'Nothing was downloaded.',
    next: "Choose a repository that holds a whole model in Hugging Face's layout; one with a tokenizer.model alone has to be converted first.",
  });
}

function noWeights({ repo, files }: Listing): LabError {
  const others = [...files.keys()].filter((name) => /\.(safetensors|bin|gguf|pth?|ckpt|onnx)$/.test(name));
  const seen = others.length > 0 ? ` It has ${listed('file', others)}.` : '';
  return new LabError('not-found', `${repo} has no ${SINGLE} and no ${INDEX}.${seen}`, {
    safe: 'Nothing was downloaded.',
    next: 'Choose a model that is published as safetensors.',
  });
}

export function wrong(repo: string, name: string): LabError {
  return new LabError('wrong-hash', `${name} of ${repo} arrived with other bytes than were published.`, {
    safe: 'They were thrown away; what else was downloaded is kept.',
    next: 'Something on the way changes it (a proxy, a virus scanner), or the copy at Hugging Face is damaged: try another network, or download the files yourself.',
  });
}
