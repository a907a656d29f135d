/** The look of a report: the page's colours, in a file of its own. */
export const STYLE = `
:root{color-scheme:light dark;--ink:light-dark(#1b1f23,#e6e8ea);--soft:light-dark(#565d64,#a9b0b7);--line:light-dark(#d9dde0,#343a40);--paper:light-dark(#fff,#14171a);--accent:light-dark(#0d6464,#5cc4bf);
--complied:light-dark(#b3261e,#ff8a7d);--attempted:light-dark(#96510a,#f2a950);--leak:light-dark(#a3266b,#f28cc0);--refused:light-dark(#1f5fae,#7fb2f5);--irrelevant:light-dark(#6a4ca0,#bda3ee);--degraded:light-dark(#565d64,#a9b0b7);--on:light-dark(#fff,#14171a)}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:72rem;margin:0 auto;padding:1.5rem}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 .5rem}h2{font-size:1.15rem;margin:2.5rem 0 .75rem}h3{font-size:1rem}
a{color:var(--accent)}small,.notes,.caveats{color:var(--soft)}.partial{border-left:3px solid var(--attempted);padding-left:.75rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap;vertical-align:top}td.n{text-align:right}td:first-child,th:first-child{position:sticky;left:0;background:var(--paper)}th{vertical-align:bottom}
figure{margin:0 0 1rem;max-width:45rem;overflow-x:auto}svg{width:100%;min-width:34rem;height:auto;display:block}
svg text{font:12px system-ui,sans-serif;fill:var(--ink)}svg .label,svg .tick{text-anchor:end}svg .step,svg .in{text-anchor:middle}svg .in{fill:var(--on)}svg .head{font-weight:600}
.grid{stroke:var(--line)}polyline.line,line.line{fill:none;stroke:var(--c);stroke-width:2}circle.line{fill:var(--c)}
.l0{--c:light-dark(#0d6464,#5cc4bf)}.l1{--c:light-dark(#b3261e,#ff8a7d)}.l2{--c:light-dark(#6a4ca0,#bda3ee)}.l3{--c:light-dark(#96510a,#f2a950)}.l4{--c:light-dark(#1f5fae,#7fb2f5)}.l5{--c:light-dark(#a3266b,#f28cc0)}.l6{--c:light-dark(#565d64,#a9b0b7)}.l7{--c:light-dark(#3f6b1f,#9ccf74)}.chance{--c:var(--ink)}
.v-complied{fill:var(--complied);background:var(--complied)}.v-attempted{fill:var(--attempted);background:var(--attempted)}.v-leak{fill:var(--leak);background:var(--leak)}.v-refused{fill:var(--refused);background:var(--refused)}.v-irrelevant{fill:var(--irrelevant);background:var(--irrelevant)}.v-degraded{fill:var(--degraded);background:var(--degraded)}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1rem;padding:0;margin:.5rem 0;font-size:.85rem}span.key{display:inline-block;width:1.2em;text-align:center;color:var(--on);border-radius:3px;font-size:.8em}svg.key{display:inline-block;width:30px;min-width:0;height:8px}
dl{display:grid;grid-template-columns:minmax(8rem,16rem) 1fr;gap:.25rem 1rem;font-size:.9rem}dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}
.samples{list-style:none;padding-left:0}.samples li{border-bottom:1px solid var(--line);padding:.5rem 0}.samples p{margin:.15rem 0}.asked{color:var(--soft)}summary{cursor:pointer;padding:.25rem 0}
@media (max-width:40rem){body{padding:.75rem}dl{grid-template-columns:1fr}dt{margin-top:.5rem}}
@media print{details{display:block}.scroll{overflow:visible}}
`;
