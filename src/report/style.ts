import { VERDICTS } from '../core/verdicts.ts';
import { PALETTE, pictureRules } from './palette.ts';

const VARIABLES = Object.entries(PALETTE)
  .map(([name, [light, dark]]) => `--${name}:light-dark(${light},${dark})`)
  .join(';');

/** The look of a report: the page's colours, in a file of its own. */
export const STYLE = `
:root{color-scheme:light dark;${VARIABLES}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:72rem;margin:0 auto;padding:1.5rem}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 .5rem}h2{font-size:1.15rem;margin:2.5rem 0 .75rem}h3{font-size:1rem}
a{color:var(--accent)}small,.notes,.caveats{color:var(--soft)}.partial{border-left:3px solid var(--attempted);padding-left:.75rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap;vertical-align:top}td.n{text-align:right}td:first-child,th:first-child{position:sticky;left:0;background:var(--paper)}th{vertical-align:bottom}
figure{margin:0 0 1rem;max-width:45rem;overflow-x:auto}svg{width:100%;min-width:34rem;height:auto;display:block}
${pictureRules((name) => `var(--${name})`)}
${VERDICTS.map((kind) => `span.v-${kind}{background:var(--${kind})}`).join('')}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1rem;padding:0;margin:.5rem 0;font-size:.85rem}span.key{display:inline-block;width:1.2em;text-align:center;color:var(--on);border-radius:3px;font-size:.8em}svg.key{display:inline-block;width:30px;min-width:0;height:12px}
dl{display:grid;grid-template-columns:minmax(8rem,16rem) 1fr;gap:.25rem 1rem;font-size:.9rem}dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}
.samples{list-style:none;padding-left:0}.samples li{border-bottom:1px solid var(--line);padding:.5rem 0}.samples p{margin:.15rem 0}.asked{color:var(--soft)}summary{cursor:pointer;padding:.25rem 0}
@media (max-width:40rem){body{padding:.75rem}dl{grid-template-columns:1fr}dt{margin-top:.5rem}}
@media print{details{display:block}.scroll{overflow:visible}}
`;
