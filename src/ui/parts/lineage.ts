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

/** The names above a node, and in what it differs from others of the same name and parent: 'tiny-chat, lr 0.002'. */
export function lineageAmong(node: LabNode, all: readonly LabNode[]): string {
  const twins = all.filter((o) => o.id !== node.id && o.name === node.name && o.parentId === node.parentId);
  const settings = Object.keys(node.settings).filter((key) =>
    twins.some((twin) => twin.settings[key] !== node.settings[key]),
  );
  const seed = (of: LabNode): number => (of.kind === 'defence' ? of.seeds.defence : of.seeds.attack);
  return [
    lineage(node),
    ...settings.map((key) => `${key} ${String(node.settings[key])}`),
    ...(twins.some((twin) => seed(twin) !== seed(node)) ? [`seed ${seed(node)}`] : []),
  ].join(', ');
}
