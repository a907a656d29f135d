/** What lies in this browser, family by family. Pure. */
import { madeByAttack, type LabNode } from '../worker/protocol.ts';
import type { ArchiveScope } from '../worker/protocol/archive.ts';

export interface Family {
  root: LabNode;
  checkpoints: number;
  bytes: number;
  /** Weights of the root are not in the lab's own storage. */
  elsewhere: boolean;
}

export function familiesOf(nodes: readonly LabNode[], rootOf: (node: LabNode) => LabNode): Family[] {
  const families = new Map<string, Family>();
  for (const node of nodes) {
    const root = rootOf(node);
    const { opened } = root;
    const family = families.get(root.id) ?? {
      root,
      checkpoints: 0,
      bytes: 0,
      elsewhere: opened !== undefined && opened.kept !== 'copy',
    };
    families.set(root.id, family);
    family.checkpoints++;
    family.bytes += node.weightsBytes;
  }
  return [...families.values()].sort((a, b) => b.bytes - a.bytes);
}

/** The opened model whose name must be typed before a copy of this is made; null: nobody is asked. */
export function toConfirm(
  scope: ArchiveScope,
  nodes: readonly LabNode[],
  rootOf: (node: LabNode) => LabNode,
): LabNode | null {
  const family = scope.kind === 'everything' ? null : nodes.find((n) => n.id === scope.nodeId);
  const of = family && rootOf(family).id;
  const attacked = nodes.find((n) => n.root === null && madeByAttack(n) && (!of || rootOf(n).id === of));
  return attacked ? rootOf(attacked) : null;
}
