/** Disk space of the origin. Figures in bytes; 0 where the browser does not tell. */
export interface StorageFigures {
  usedBytes: number;
  quotaBytes: number;
  persisted: boolean;
}

export async function storageFigures(): Promise<StorageFigures> {
  const storage = typeof navigator === 'undefined' ? undefined : navigator.storage;
  const estimate = await storage?.estimate?.().catch(() => undefined);
  const persisted = await storage?.persisted?.().catch(() => false);
  return {
    usedBytes: estimate?.usage ?? 0,
    quotaBytes: estimate?.quota ?? 0,
    persisted: persisted ?? false,
  };
}
