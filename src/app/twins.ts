import type { LabNode } from '../worker/protocol.ts';

/** In what a node differs from others of the same name and parent: 'lr 0.002', 'seed 3'. Names repeat in the tree. */
export function differsIn(node: LabNode, all: readonly LabNode[]): string[] {
  const twins = all.filter((o) => o.id !== node.id && o.name === node.name && o.parentId === node.parentId);
  const settings = Object.keys(node.settings).filter(
    (key) => key !== 'steps' && twins.some((twin) => twin.settings[key] !== node.settings[key]),
  );
  const seed = (of: LabNode): number => (of.kind === 'defence' ? of.seeds.defence : of.seeds.attack);
  return [
    ...settings.map((key) => `${key} ${String(node.settings[key])}`),
    ...(twins.some((twin) => seed(twin) !== seed(node)) ? [`seed ${seed(node)}`] : []),
  ];
}
