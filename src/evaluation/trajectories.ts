import { readBilinear } from './bilinear.ts';
import { type Flows, fieldOf } from './flow/flows.ts';
import type { EncoderIdentity } from './metric.ts';

/** Points along the short side at which tracking begins. */
const POINTS_PER_SIDE = 16;

/** How points of a clip's first frame move through the clip. */
export interface Trajectories {
  /** [T, P, 2]: each point's displacement (x, y) in pixels from frame to frame; T is frames − 1. */
  readonly steps: Float32Array;
  readonly stepCount: number;
  readonly pointCount: number;
  readonly shortSide: number;
  readonly estimator: EncoderIdentity;
}

/**
 * Follows an even grid of points, about 16 along the short side, by chaining the flow between consecutive frames,
 * read bilinearly where the point is. A point that leaves the picture goes on with the flow at the border.
 */
export function trackPoints(flows: Flows): Trajectories {
  const [stepCount, height, width] = flows.fields.shape;
  const shortSide = Math.min(height, width);
  const spacing = shortSide / POINTS_PER_SIDE;
  const [columns, rows] = [Math.round(width / spacing), Math.round(height / spacing)];
  const pointCount = columns * rows;
  const x = new Float64Array(pointCount);
  const y = new Float64Array(pointCount);
  for (let point = 0; point < pointCount; point++) {
    x[point] = (((point % columns) + 0.5) / columns) * width - 0.5;
    y[point] = ((Math.floor(point / columns) + 0.5) / rows) * height - 0.5;
  }
  const steps = new Float32Array(stepCount * pointCount * 2);
  for (let step = 0; step < stepCount; step++) {
    const field = { data: fieldOf(flows, step), width, height, channels: 2 };
    for (let point = 0; point < pointCount; point++) {
      const to = (step * pointCount + point) * 2;
      readBilinear(field, x[point], y[point], steps, to);
      x[point] += steps[to];
      y[point] += steps[to + 1];
    }
  }
  return { steps, stepCount, pointCount, shortSide, estimator: flows.estimator };
}
