/**
 * The regular files of an uncompressed ustar archive, as written by GNU tar: enough for the archives of
 * @sparticuz/chromium. Anything else in an archive (links, devices, long-name extensions) is an error, not skipped.
 *
 * @param {Buffer} archive
 * @returns {Generator<{ name: string; mode: number; data: Buffer }>}
 */
export function* tarFiles(archive) {
  const text = (/** @type {Buffer} */ b) => b.toString('latin1').replace(/\0.*$/s, '');
  for (let at = 0; at + 512 <= archive.length;) {
    const header = archive.subarray(at, at + 512);
    if (header[0] === 0) return;
    const name = text(header.subarray(0, 100));
    const size = parseInt(text(header.subarray(124, 136)), 8);
    const type = String.fromCharCode(header[156] ?? 0);
    const prefix = text(header.subarray(345, 500));
    const path =
      prefix && text(header.subarray(257, 262)) === 'ustar' && header[262] === 0 ? `${prefix}/${name}` : name;
    if (path.startsWith('/') || path.split('/').includes('..'))
      throw new Error(`tar: refusing the path ${path}`);
    if (!Number.isFinite(size) || at + 512 + size > archive.length)
      throw new Error(`tar: ${path} is cut short`);
    if (type === '0' || type === '\0') {
      const mode = parseInt(text(header.subarray(100, 108)), 8) & 0o777;
      yield { name: path, mode, data: archive.subarray(at + 512, at + 512 + size) };
    } else if (type !== '5') {
      throw new Error(`tar: ${path} is an entry of type '${type}', which this reader does not know`);
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
}
