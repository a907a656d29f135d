/** A report as one HTML file: no script, nothing from elsewhere, readable from a disk and on paper. */
import { unitText, valueText, type Report, type ReportTable } from './document.ts';
import { Markup, markup, nothing } from './markup.ts';
import { picture, SIGNS } from './pictures.ts';
import { STYLE } from './style.ts';

export function reportHtml(report: Report): string {
  const { title, createdAt, facts, protocol, caveats, definitions, tables, samples, failures, commands } =
    report;
  const partial = report.looks.came < report.looks.planned;
  const body = markup`<header>
<h1>${title}</h1>
<p>${dateText(createdAt)}. ${report.looks.came} of ${report.looks.planned} planned looks.</p>
${partial ? markup`<p class="partial"><strong>Partial:</strong> not every planned look came; the missing ones stand in the tables and under “Failed and left out”.</p>` : nothing}
${list(caveats, 'caveats')}
</header>
<main>
<nav aria-label="Tables"><ul>${tables.map((t) => markup`<li><a href="#${anchor(t.id)}">${t.title}</a></li>`)}</ul></nav>
${tables.map(section)}
${samples.length === 0 ? nothing : sampleSection(report)}
<section id="failed"><h2>Failed and left out</h2>
${failures.length === 0 ? markup`<p>Nothing: every planned run finished.</p>` : markup`<ul>${failures.map((f) => markup`<li>${f.what}: ${f.why}</li>`)}</ul>`}
</section>
<section id="protocol"><h2>Protocol</h2>
${
  protocol
    ? markup`<p>${protocol.name}, SHA-256 of its frozen part <code>${protocol.sha256}</code>.</p>
${protocol.deviations.length === 0 ? markup`<p>No deviations.</p>` : markup`<p>Deviations:</p>${list(protocol.deviations)}`}`
    : markup`<p>Measured under no protocol: an exploration.</p>`
}
</section>
<section id="configuration"><h2>Configuration</h2>
<dl>${facts.map((f) => markup`<dt>${f.name}</dt><dd>${f.value}</dd>`)}</dl>
${commands.length === 0 ? nothing : markup`<h3>To measure it again</h3><dl>${commands.map((c) => markup`<dt>${c.what}</dt><dd><code>${c.command}</code></dd>`)}</dl>`}
</section>
<section id="definitions"><h2>What the measures are</h2>
<dl>${definitions.map((d) => markup`<dt id="${anchor(`is-${d.id}`)}">${d.title}</dt><dd>${d.text}</dd>`)}</dl>
</section>
</main>`;
  return markup`<!doctype html>
<html lang="en">
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

function section(table: ReportTable): Markup {
  const head = table.columns.map((c) => {
    const unit = unitText(c.unit);
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
${picture(table)}
<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${rows}</tbody></table></div>
${list(table.notes, 'notes')}
</section>
`;
}

function sampleSection({ samples }: Report): Markup {
  const groups = [...new Set(samples.map((s) => s.of))].map(
    (of) => [of, samples.filter((s) => s.of === of)] as const,
  );
  return markup`<section id="samples"><h2>Samples</h2>
<p>Answers to held-out forbidden requests, as they were given.</p>
${groups.map(
  ([of, own]) => markup`<details><summary>${of}</summary><ul class="samples">${own.map(
    (s) => markup`<li><p class="asked">${s.prompt}</p><p>${s.answer || '(nothing)'}</p>
<p class="verdict"><span class="key v-${s.verdict}">${SIGNS[s.verdict]}</span> ${s.verdict}: ${s.reason} <small>(judge: ${s.judge})</small></p></li>`,
  )}</ul></details>
`,
)}
</section>
`;
}
