import type { LabNode } from '../../worker/protocol.ts';
import { t } from '../i18n.svelte.ts';

/** What a checkpoint is, with its steps unless its name tells them: 'attacked', 'defence, 150 steps'. */
export function kindOf({ kind, name, steps, opened }: LabNode): string {
  if (opened) return t('kind.opened');
  const told = steps === 0 || new RegExp(`(^|\\D)${steps}(\\D|$)`).test(name);
  return told ? t(`kind.${kind}`) : `${t(`kind.${kind}`)}, ${t('node.steps', { n: steps })}`;
}
