import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseProtocol } from '../report/protocol.ts';

const FILE = fileURLToPath(new URL('../../docs/prereg.md', import.meta.url));

/** The protocol as the file stands now. */
export function protocolNow(): { name: string; sha256: string; deviations: string[] } {
  const { frozen, deviations } = parseProtocol(readFileSync(FILE, 'utf8'));
  return { name: 'docs/prereg.md', sha256: createHash('sha256').update(frozen).digest('hex'), deviations };
}
