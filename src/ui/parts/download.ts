/** Offers bytes to the reader as a file. */
export const save = (name: string, bytes: ArrayBuffer): void => saveBlob(name, new Blob([bytes]));

/** Offers a Blob to the reader as a file. */
export function saveBlob(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser reads the blob after the click has returned.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Several files as one, in a folder of the same name; not compressed, since weights hardly give way. */
export async function saveFolder(
  name: string,
  files: readonly { name: string; bytes: Uint8Array }[],
): Promise<void> {
  // with the first of them: the first paint needs none of it
  const { zipSync } = await import('fflate');
  const folder = name.replace(/[\\/:*?"<>|]+/g, '-');
  const zip = zipSync(Object.fromEntries(files.map((file) => [`${folder}/${file.name}`, file.bytes])), {
    level: 0,
  });
  save(`${folder}.zip`, zip.buffer as ArrayBuffer);
}
