import { lab } from '../../app/lab.svelte.ts';
import { differsIn } from '../../app/twins.ts';
import type { LabNode } from '../../worker/protocol.ts';

/** The names above a node, oldest first: 'tiny-chat › SDD'. Names repeat in the tree; the line of descent does not. */
export function lineage(node: LabNode): string {
  return lab
    .lineOf(node)
    .slice(0, -1)
    .map((above) => above.name)
    .join(' › ');
}

/** The names above a node, and in what it differs from others of the same name and parent: 'tiny-chat, lr 0.002'. */
export const lineageAmong = (node: LabNode, all: readonly LabNode[]): string =>
  [lineage(node), ...differsIn(node, all)].join(', ');
