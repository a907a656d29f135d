import { lab } from '../../app/lab.svelte.ts';
import type { LabNode } from '../../worker/protocol.ts';

/** The names above a node, oldest first: 'tiny-chat › SDD'. Names repeat in the tree; the line of descent does not. */
export function lineage(node: LabNode): string {
  return lab
    .lineOf(node)
    .slice(0, -1)
    .map((above) => above.name)
    .join(' › ');
}
