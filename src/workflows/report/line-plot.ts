import { type Html, html } from './html.ts';

export interface PlotLine {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** The same before smoothing, drawn pale behind it. */
  readonly raw?: PlotLine['points'];
}

export interface LinePlot {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly lines: readonly PlotLine[];
  /** Range of y; default: that of the points, of `raw` without its outermost hundredth. */
  readonly yRange?: readonly [low: number, high: number];
  /** x falls from left to right, as timesteps do while denoising. */
  readonly reversed?: boolean;
  /**
   * 'ordered': colours run from blue to orange, for lines that have an order (depths of a model). 'apart':
   * neighbours differ as much as they can.
   */
  readonly tones?: 'ordered' | 'apart';
  /** The first line's colour, counted from 0, where plots beside each other continue a series. */
  readonly tone?: number;
}

const WIDTH = 480;
const HEIGHT = 270;
const MARGIN = { left: 58, right: 12, top: 10, bottom: 40 };
const APART = [255, 45, 150, 330, 95, 200];

/** A line plot as SVG with its title above and its legend below; colours follow the page's scheme. */
export function linePlot(plot: LinePlot): Html {
  const { title, xLabel, yLabel, lines, reversed = false } = plot;
  const all = lines.flatMap(({ points, raw }) => [...points, ...(raw ?? [])]);
  if (all.length === 0) return html`<div><h3>${title}</h3><p class="soft">Nothing was recorded.</p></div>`;
  const [firstX, lastX] = rangeOf(all.map(([x]) => x));
  const yTicks = ticks(plot.yRange ?? innerRange(lines));
  const [lowY, highY] = [yTicks[0], yTicks[yTicks.length - 1]];
  const x = (value: number) => {
    const part = (value - firstX) / (lastX - firstX || 1);
    return MARGIN.left + (reversed ? 1 - part : part) * (WIDTH - MARGIN.left - MARGIN.right);
  };
  const y = (value: number) => {
    const part = (Math.min(Math.max(value, lowY), highY) - lowY) / (highY - lowY || 1);
    return HEIGHT - MARGIN.bottom - part * (HEIGHT - MARGIN.top - MARGIN.bottom);
  };
  const path = (points: PlotLine['points']) =>
    points.map(([px, py]) => `${x(px).toFixed(1)},${y(py).toFixed(1)}`).join(' ');
  const tone = (i: number) => toneOf(i + (plot.tone ?? 0), lines.length, plot.tones ?? 'apart');
  const bottom = HEIGHT - MARGIN.bottom;
  const across = xTicks(firstX, lastX);
  return html`<div><h3>${title}</h3>
<svg class="plot" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${`${title}: ${yLabel} against ${xLabel}`}">
${yTicks.map(
  (
    value,
  ) => html`<line class="grid-line" x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${y(value).toFixed(1)}" y2="${y(value).toFixed(1)}"/><text x="${MARGIN.left - 6}" y="${(y(value) + 4).toFixed(1)}" text-anchor="end">${tickText(value, yTicks)}</text>
`,
)}${across.map(
  (
    value,
  ) => html`<text x="${x(value).toFixed(1)}" y="${bottom + 16}" text-anchor="middle">${tickText(value, across)}</text>
`,
)}<text x="${(WIDTH + MARGIN.left) / 2}" y="${HEIGHT - 6}" text-anchor="middle">${xLabel}</text>
<text transform="rotate(-90)" x="${-(bottom + MARGIN.top) / 2}" y="11" text-anchor="middle">${yLabel}</text>
${lines.map(
  (
    line,
    i,
  ) => html`<g class="toned" style="--tone:${tone(i)}">${line.raw ? html`<polyline class="faint" points="${path(line.raw)}"/>` : undefined}<polyline points="${path(line.points)}"><title>${line.name}</title></polyline></g>
`,
)}</svg>
${lines.length > 1 ? html`<ul class="legend">${lines.map(({ name }, i) => html`<li style="--tone:${tone(i)}">${name}</li>`)}</ul>` : undefined}</div>
`;
}

function toneOf(index: number, count: number, tones: 'ordered' | 'apart'): number {
  if (tones === 'apart') return APART[index % APART.length];
  return Math.round(255 + (count > 1 ? index / (count - 1) : 0) * 165) % 360;
}

function rangeOf(values: readonly number[]): [number, number] {
  return [Math.min(...values), Math.max(...values)];
}

function innerRange(lines: readonly PlotLine[]): readonly [number, number] {
  const [low, high] = rangeOf(lines.flatMap(({ points }) => points.map(([, y]) => y)));
  const raw = lines.flatMap((line) => line.raw?.map(([, y]) => y) ?? []).sort((a, b) => a - b);
  if (raw.length === 0) return [low, high];
  const at = (part: number) => raw[Math.round((raw.length - 1) * part)];
  return [Math.min(low, at(0.01)), Math.max(high, at(0.99))];
}

/** Round values around a range, with about `count` steps between them. */
function ticks([low, high]: readonly [number, number], count = 4): number[] {
  const span = high - low || Math.abs(high) || 1;
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999)!;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(Math.ceil(high / step - 1e-9), first + 1);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

/** Round values within a range. */
function xTicks(first: number, last: number): number[] {
  return first === last
    ? [first]
    : ticks([first, last], 6).filter((value) => value >= first && value <= last);
}

/** As many decimals as the distance to the next tick needs. */
function tickText(value: number, among: readonly number[]): string {
  const distance = Math.abs((among[1] ?? value) - among[0]) || 1;
  const decimals = Math.max(0, Math.min(6, Math.ceil(-Math.log10(distance) + 0.3)));
  return value
    .toFixed(decimals)
    .replace(/(\.\d*?)0+$/, '$1')
    .replace(/\.$/, '');
}
