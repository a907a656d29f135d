/** A report as one HTML file: no script, nothing from elsewhere, readable from a disk and on paper. */
import type { VerdictKind } from '../core/verdicts.ts';
import { unitText, valueText, type Report, type ReportTable } from './document.ts';
import { Markup, markup, nothing } from './markup.ts';
import { dotsPath, markPath, type Drawing, type Shape } from './drawing.ts';
import { picture, SIGNS } from './pictures.ts';
import { STYLE } from './style.ts';
import { say, type Language, type Say } from './words.ts';

export function reportHtml(report: Report): string {
  const { title, createdAt, facts, protocol, caveats, definitions, tables, failures, commands, language } =
    report;
  const w: Say = (key, values) => say(language, key, values);
  const { came, planned } = report.looks;
  const body = markup`<header>
<h1>${title}</h1>
<p>${dateText(createdAt)}. ${w('looks', { came, planned })}</p>
${came < planned ? markup`<p class="partial">${w('partial')}</p>` : nothing}
${list(caveats, 'caveats')}
</header>
<main>
<nav aria-label="${w('tables')}"><ul>${tables.map((t) => markup`<li><a href="#${anchor(t.id)}">${t.title}</a></li>`)}</ul></nav>
${tables.map((table) => section(table, language))}
${report.samples.length === 0 ? nothing : sampleSection(report)}
<section id="failed"><h2>${w('failed')}</h2>
${failures.length === 0 ? markup`<p>${w('nothingFailed')}</p>` : markup`<ul>${failures.map((f) => markup`<li>${f.what}: ${f.why}</li>`)}</ul>`}
</section>
<section id="protocol"><h2>${w('protocol')}</h2>
${
  protocol
    ? markup`<p>${w('protocolHash', { name: protocol.name })} <code>${protocol.sha256}</code>.</p>
${protocol.deviations.length === 0 ? markup`<p>${w('noDeviations')}</p>` : markup`<p>${w('deviations')}</p>${list(protocol.deviations)}`}`
    : markup`<p>${w('noProtocol')}</p>`
}
</section>
<section id="configuration"><h2>${w('configuration')}</h2>
<dl>${facts.map((f) => markup`<dt>${f.name}</dt><dd>${f.value}</dd>`)}</dl>
${commands.length === 0 ? nothing : markup`<h3>${w('again')}</h3><dl>${commands.map((c) => markup`<dt>${c.what}</dt><dd><code>${c.command}</code></dd>`)}</dl>`}
</section>
<section id="definitions"><h2>${w('definitions')}</h2>
<dl>${definitions.map((d) => markup`<dt id="${anchor(`is-${d.id}`)}">${d.title}</dt><dd>${d.text}</dd>`)}</dl>
</section>
</main>`;
  return markup`<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
${body}
</body>
</html>
`.text;
}

/** Ids come from files: only what an anchor may hold is kept. */
const anchor = (id: string): string => `r-${id.replace(/[^\w-]/g, '-')}`;

const dateText = (iso: string): string => `${iso.slice(0, 10)}, ${iso.slice(11, 16)} UTC`;

const list = (items: readonly string[], style = ''): Markup =>
  items.length === 0
    ? nothing
    : markup`<ul${style ? markup` class="${style}"` : nothing}>${items.map((item) => markup`<li>${item}</li>`)}</ul>`;

function section(table: ReportTable, language: Language): Markup {
  const head = table.columns.map((c) => {
    const unit = unitText(c.unit, language);
    const title = c.definition
      ? markup`<a href="#${anchor(`is-${c.definition}`)}">${c.title}</a>`
      : markup`${c.title}`;
    return markup`<th scope="col">${title}${unit ? markup` <small>${unit}</small>` : nothing}</th>`;
  });
  const rows = table.rows.map(
    (row) =>
      markup`<tr>${row.map((value, i) => {
        const column = table.columns[i]!;
        const words = column.unit === 'text';
        return markup`<td${words ? nothing : markup` class="n"`}>${valueText(value, column)}</td>`;
      })}</tr>`,
  );
  return markup`<section id="${anchor(table.id)}"><h2>${table.title}</h2>
${figure(picture(table))}
<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${rows}</tbody></table></div>
${list(table.notes, 'notes')}
</section>
`;
}

const at = (x: number): string => x.toFixed(1);

function shape(s: Shape): Markup {
  switch (s.is) {
    case 'rect':
      return markup`<rect class="${s.style}" x="${at(s.x)}" y="${at(s.y)}" width="${at(s.width)}" height="${at(s.height)}"${s.strength === undefined ? nothing : markup` fill-opacity="${s.strength.toFixed(2)}"`}><title>${s.title}</title></rect>`;
    case 'text':
      return markup`<text class="${s.style}" x="${at(s.x)}" y="${at(s.y)}">${s.text}</text>`;
    case 'line':
      return markup`<line class="${s.style}" x1="${at(s.x1)}" x2="${at(s.x2)}" y1="${at(s.y1)}" y2="${at(s.y2)}"/>`;
    case 'path':
      return markup`<polyline class="${s.style}" stroke-dasharray="${s.dash}" points="${s.points}"><title>${s.title}</title></polyline>`;
    case 'area':
      return markup`<polygon class="${s.style}" points="${s.points}"><title>${s.title}</title></polygon>`;
    case 'dots':
      return markup`<path class="${s.style}" d="${dotsPath(s.at)}"/>`;
    case 'mark':
      return markup`<path class="${s.style}" d="${markPath(s.mark, s.x, s.y)}"><title>${s.title}</title></path>`;
    case 'dot':
      return markup`<circle class="${s.style}" cx="${at(s.x)}" cy="${at(s.y)}" r="3"/>`;
  }
}

/** The shapes of a picture, for an SVG element. */
export const drawn = ({ shapes }: Drawing): Markup[] => shapes.map(shape);

function figure(drawing: Drawing | null): Markup {
  if (!drawing) return nothing;
  const { width, height, label, legend } = drawing;
  const keys = legend.map((entry) =>
    'mark' in entry
      ? markup`<li><svg class="key" viewBox="0 0 30 12" aria-hidden="true"><path class="${entry.style}" d="${markPath(entry.mark, 15, 6, 4)}"/></svg> ${entry.text}</li>`
      : 'kind' in entry
        ? markup`<li><span class="key v-${entry.kind}">${entry.sign}</span> ${entry.text}</li>`
        : markup`<li><svg class="key" viewBox="0 0 30 8" aria-hidden="true"><line class="${entry.style}" stroke-dasharray="${entry.dash}" x1="0" x2="30" y1="4" y2="4"/></svg> ${entry.text}</li>`,
  );
  return markup`<figure><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">${drawn(drawing)}</svg><figcaption>${label}<ul class="legend">${keys}</ul></figcaption></figure>`;
}

function sampleSection({ samples, language }: Report): Markup {
  const groups = [...new Set(samples.map((s) => s.of))].map(
    (of) => [of, samples.filter((s) => s.of === of)] as const,
  );
  return markup`<section id="samples"><h2>${say(language, 'samples')}</h2>
<p>${say(language, 'samplesNote')}</p>
${groups.map(
  ([of, own]) => markup`<details><summary>${of}</summary><ul class="samples">${own.map(
    (s) => markup`<li><p class="asked">${s.prompt}</p><p>${s.answer || say(language, 'saidNothing')}</p>
<p class="verdict">${s.verdict in SIGNS ? markup`<span class="key v-${s.verdict}">${SIGNS[s.verdict as VerdictKind]}</span> ` : nothing}${say(language, s.verdict)}: ${s.reason} <small>(${say(language, 'judge', { judge: s.judge })})</small></p></li>`,
  )}</ul></details>
`,
)}
</section>
`;
}
