import sharp from 'sharp';

/** A named line of a chart; x are steps. */
export interface Curve {
  readonly name: string;
  readonly points: readonly (readonly [step: number, value: number])[];
  /** Drawn smoothed, with the raw values pale behind it. */
  readonly smoothed?: boolean;
}

const WIDTH = 720;
const HEIGHT = 260;
const MARGIN = { left: 60, right: 16, top: 28, bottom: 28 };
const COLOURS = ['#1d6fb8', '#c0392b', '#2e8b57', '#8e44ad'];
/** Points a line is thinned to. */
const MOST_POINTS = 1200;

/** Charts below each other, one for each group of curves that share an axis, as a PNG. */
export function curvesPng(title: string, charts: readonly (readonly Curve[])[]): Promise<Buffer> {
  const body = charts.map(
    (curves, i) => `<g transform="translate(0 ${i * HEIGHT})">${chart(title, curves)}</g>`,
  );
  const height = HEIGHT * charts.length;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}"><rect width="100%" height="100%" fill="#fff"/><g font-family="sans-serif" font-size="12" fill="#333">${body.join('')}</g></svg>`;
  return sharp(Buffer.from(svg)).png().toBuffer();
}

function chart(title: string, curves: readonly Curve[]): string {
  const points = curves.flatMap((curve) => curve.points);
  const values = points.map(([, value]) => value).sort((a, b) => a - b);
  // The first steps' values would flatten the rest.
  const low = values[0];
  const high = values[Math.floor((values.length - 1) * 0.98)];
  const span = high - low || 1;
  const last = Math.max(...points.map(([step]) => step), 1);
  const { left, right, top, bottom } = MARGIN;
  const x = (step: number) => left + (step / last) * (WIDTH - left - right);
  const y = (value: number) =>
    HEIGHT - bottom - Math.min(Math.max((value - low) / span, -0.02), 1.05) * (HEIGHT - top - bottom);
  const line = (thinned: Curve['points'], colour: string, opacity: number) =>
    `<polyline fill="none" stroke="${colour}" stroke-opacity="${opacity}" stroke-width="1.5" points="${thinned
      .map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`)
      .join(' ')}"/>`;
  const lines = curves.map((curve, i) => {
    const colour = COLOURS[i % COLOURS.length];
    if (!curve.smoothed) return line(thin(curve.points), colour, 1);
    return line(thin(curve.points), colour, 0.25) + line(thin(smooth(curve.points)), colour, 1);
  });
  const legend = curves.map(
    ({ name }, i) =>
      `<text x="${left + 150 + i * 140}" y="18" fill="${COLOURS[i % COLOURS.length]}">${name}</text>`,
  );
  const ticks = [0, 0.5, 1].map((part) => {
    const at = y(low + part * span);
    return `<line x1="${left}" x2="${WIDTH - right}" y1="${at}" y2="${at}" stroke="#ddd"/><text x="${left - 6}" y="${at + 4}" text-anchor="end">${short(low + part * span)}</text>`;
  });
  const steps = [0, last / 2, last].map(
    (step) => `<text x="${x(step)}" y="${HEIGHT - 8}" text-anchor="middle">${Math.round(step)}</text>`,
  );
  return [`<text x="${left}" y="18">${title}</text>`, ...legend, ...ticks, ...steps, ...lines].join('');
}

function short(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** A running mean over about the last thirty points; at the start, over those there are. */
function smooth(points: Curve['points']): Curve['points'] {
  let mean = 0;
  return points.map(([step, value], i) => {
    mean += Math.max(0.03, 1 / (i + 1)) * (value - mean);
    return [step, mean] as const;
  });
}

function thin(points: Curve['points']): Curve['points'] {
  const stride = Math.ceil(points.length / MOST_POINTS);
  return points.filter((_, i) => i % stride === 0 || i === points.length - 1);
}
