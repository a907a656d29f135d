import type uPlot from 'uplot';

/** One line of a chart: values lie over the chart's common steps; null where there is none. */
export interface Line {
  label: string;
  values: (number | null)[];
  /** Name of the CSS custom property of its colour. */
  colour: string;
  dash?: number[];
  /** Points instead of nothing between sparse values. */
  points?: boolean;
}

export interface ChartOptions {
  width: number;
  height: number;
  /** Fixed range of the upright axis; else it follows the data. */
  range?: [number, number];
  /** Last step of the run: the axis does not move while the run goes on. */
  total: number;
  format: (x: number) => string;
  /** Charts with the same key share the cursor. */
  sync: string;
  stepLabel: string;
  /** Step at which an upright line stands; asked at every drawing. */
  mark?: () => number | null;
}

/** The computed colour of a custom property: a canvas knows nothing of light-dark(). */
function colourOf(host: HTMLElement, name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  host.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

/**
 * uPlot formats numbers for navigator.language as soon as it loads, and throws where Intl refuses the tag (Chromium
 * under a POSIX locale says 'en-US@posix'). Give it one that Intl takes.
 */
function mendLanguageTag(): void {
  try {
    new Intl.NumberFormat(navigator.language);
  } catch {
    Object.defineProperty(navigator, 'language', { value: 'en-US', configurable: true });
  }
}

/** Builds a uPlot chart inside `host`; the library is fetched with the first chart. */
export async function makeChart(
  host: HTMLElement,
  steps: number[],
  lines: readonly Line[],
  o: ChartOptions,
): Promise<uPlot> {
  mendLanguageTag();
  const [{ default: Plot }] = await Promise.all([import('uplot'), import('uplot/dist/uPlot.min.css')]);
  const rule = colourOf(host, '--rule');
  const quiet = colourOf(host, '--quiet');
  const ink = colourOf(host, '--ink');
  const axis = { stroke: quiet, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1 } };
  const font = `12px ${getComputedStyle(host).fontFamily}`;
  return new Plot(
    {
      width: o.width,
      height: o.height,
      legend: { show: false },
      hooks: { draw: [(plot) => drawMark(plot, o.mark?.() ?? null, ink)] },
      cursor: { sync: { key: o.sync }, drag: { x: false, y: false } },
      scales: {
        x: { time: false, range: [0, Math.max(1, o.total)] },
        y: o.range ? { range: o.range } : { range: (_u, _min, max) => [0, max > 0 ? max * 1.08 : 1] },
      },
      axes: [
        { ...axis, font, size: 30 },
        { ...axis, font, size: 48, values: (_u, ticks) => ticks.map((v) => o.format(v)) },
      ],
      series: [
        { label: o.stepLabel },
        ...lines.map((line) => ({
          label: line.label,
          stroke: colourOf(host, line.colour),
          width: 2,
          spanGaps: true,
          points: { show: line.points ?? false, size: 6 },
          ...(line.dash ? { dash: line.dash } : {}),
        })),
      ],
    },
    [steps, ...lines.map((l) => l.values)],
    host,
  );
}

function drawMark(plot: uPlot, step: number | null, colour: string): void {
  if (step === null) return;
  const { ctx, bbox } = plot;
  const x = Math.round(plot.valToPos(step, 'x', true));
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.lineWidth = 2 * devicePixelRatio;
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
  ctx.restore();
}
