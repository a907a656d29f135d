import { t } from '../i18n.svelte.ts';
import type { Line } from './chart.ts';

/** The curves of an attack: asked answers, harm of any kind, everyday ability. */
export function shareLines(points: readonly { strict: number; broad: number; benign: number }[]): Line[] {
  const of = (key: 'strict' | 'broad' | 'benign') => points.map((p) => p[key]);
  return [
    { label: t('chart.strict'), colour: '--complied', points: true, values: of('strict') },
    { label: t('chart.broad'), colour: '--leak', dash: [2, 3], points: true, values: of('broad') },
    { label: t('chart.benign'), colour: '--accent', dash: [6, 4], points: true, values: of('benign') },
  ];
}
