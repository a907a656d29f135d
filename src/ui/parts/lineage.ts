import { lab } from '../../app/lab.svelte.ts';
import type { LabNode } from '../../worker/protocol.ts';

/** The names above a node, oldest first: 'tiny-chat › SDD'. Names repeat in the tree; the line of descent does not. */
export function lineage(node: LabNode): string {
  const names: string[] = [];
  for (let at = lab.node(node.parentId); at; at = lab.node(at.parentId)) names.unshift(at.name);
  return names.join(' › ');
}
