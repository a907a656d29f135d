import type { LabNode } from '../../worker/protocol.ts';
import { t } from '../i18n.svelte.ts';

/** What a checkpoint is, with its steps unless its name tells them: 'attacked', 'defence, 150 steps'. */
export function kindOf({ kind, name, steps, opened, continues, attacked }: LabNode): string {
  if (opened) return t(attacked ? 'kind.openedAttacked' : 'kind.opened');
  const told = steps === 0 || new RegExp(`(^|\\D)${steps}(\\D|$)`).test(name);
  const words = [t(`kind.${kind}`), ...(told ? [] : [t('node.steps', { n: steps })])];
  return [
    ...words,
    ...(continues ? [t('kind.continues')] : []),
    ...(attacked ? [t('kind.marked')] : []),
  ].join(', ');
}
