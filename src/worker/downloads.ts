/** Models from Hugging Face on their way into the browser's storage. */
import { parseHubName } from '../core/hub.ts';
import { LabError } from '../core/errors.ts';
import { originOf, totalBytes, type Plan } from '../hub/plan.ts';
import { storageFigures } from '../store/quota.ts';
import type { Context } from './context.ts';
import { planTalk } from './memory.ts';
import type { OpenedModels } from './opened.ts';
import { describeModel } from './open-model.ts';
import type { DownloadProgress, HubModel, KeptDownload } from './protocol.ts';
import { lockDownload } from './run-lock.ts';

/** Milliseconds between two reports of how far it is. */
const REPORT_EVERY = 100;

export class Downloads {
  #ctx: Context;
  #opened: OpenedModels;
  /** What was looked up and not begun yet. */
  #found = new Map<string, Plan>();

  constructor(ctx: Context, opened: OpenedModels) {
    this.#ctx = ctx;
    this.#opened = opened;
  }

  async find(name: string, signal: AbortSignal): Promise<HubModel> {
    const wanted = parseHubName(name);
    const { find, HubHttp } = await import('../hub/index.ts');
    const { plan, config } = await find(new HubHttp(this.#ctx.hub), wanted, signal);
    const origin = originOf(plan);
    this.#found.set(origin.id, plan);
    const kept = (await this.#ctx.shelf.list()).find((one) => one.id === origin.id);
    return {
      ...origin,
      files: plan.files.map((file) => ({ name: file.name, bytes: file.bytes })),
      totalBytes: totalBytes(plan),
      haveBytes: kept?.haveBytes ?? 0,
      freeBytes: await freeBytes(),
      shape: config,
      memory: this.#ctx.ready ? await planTalk(this.#ctx, config, 'f16') : null,
    };
  }

  /** @throws LabError 'quota' before anything is fetched, 'bad-input' when another tab is at it, and as src/hub/download.ts */
  async download(id: string, emit: (progress: DownloadProgress) => void, signal: AbortSignal): Promise<null> {
    const unlock = await lockDownload(id);
    try {
      const { download, HubHttp } = await import('../hub/index.ts');
      const { place, plan } = await this.#place(id);
      this.#ctx.notify({ type: 'downloads' });
      let told = -Infinity;
      let state = '';
      const onProgress = (progress: DownloadProgress): void => {
        const now = performance.now();
        if (now - told < REPORT_EVERY && progress.state === state) return;
        told = now;
        state = progress.state;
        emit(progress);
      };
      await download(place, plan, {
        http: new HubHttp(this.#ctx.hub),
        signal,
        onProgress,
        beforeWeights: async () => {
          await describeModel((await place.folder()).files);
        },
      });
      return null;
    } finally {
      unlock();
      this.#ctx.notify({ type: 'downloads' });
    }
  }

  async #place(id: string) {
    const { shelf } = this.#ctx;
    const kept = (await shelf.list()).find((one) => one.id === id);
    const plan = kept?.plan ?? this.#found.get(id);
    if (!plan)
      throw new LabError('not-found', 'This download is not known any more.', {
        safe: 'Nothing was changed.',
        next: 'Look the model up again by its name.',
      });
    await requireRoom(plan, totalBytes(plan) - (kept?.haveBytes ?? 0));
    const place = kept?.plan ? await shelf.place(id) : await shelf.create(id, plan);
    return { place: place!, plan };
  }

  /** Those that no node stands on. */
  async list(): Promise<KeptDownload[]> {
    const used = new Set((await this.#opened.downloadsInUse()).values());
    const all = await this.#ctx.shelf.list();
    return all
      .filter(({ id }) => !used.has(id))
      .map(({ id, plan, haveBytes, complete }) => ({
        id,
        origin: plan && originOf(plan),
        haveBytes,
        totalBytes: plan ? totalBytes(plan) : 0,
        complete,
      }));
  }

  /** @throws LabError 'bad-input' when a tab downloads it, or a node stands on it */
  async remove(id: string): Promise<null> {
    const unlock = await lockDownload(id);
    try {
      if ([...(await this.#opened.downloadsInUse()).values()].includes(id))
        throw new LabError('bad-input', 'A model in the family tree is read from this download.', {
          safe: 'Nothing was deleted.',
          next: 'Delete the model; its files go with it.',
        });
      await this.#ctx.shelf.remove(id);
    } finally {
      unlock();
    }
    this.#ctx.notify({ type: 'downloads' });
    return null;
  }
}

/** What the browser still gives to this page; null where it does not tell. */
async function freeBytes(): Promise<number | null> {
  const { usedBytes, quotaBytes } = await storageFigures();
  return quotaBytes > 0 ? Math.max(0, quotaBytes - usedBytes) : null;
}

async function requireRoom({ repo }: Plan, needs: number): Promise<void> {
  const free = await freeBytes();
  if (free === null || needs <= free) return;
  const mb = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`;
  throw new LabError(
    'quota',
    `${repo} needs ${mb(needs)} more, and the browser gives this page ${mb(free)}.`,
    {
      safe: 'Nothing was downloaded.',
      next: 'Delete models and downloads that you no longer need, or free disk space; or download the files yourself and open their folder, which takes no room here.',
    },
  );
}
