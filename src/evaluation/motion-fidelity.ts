import { MetricError, type MetricValue, requireSameEncoder } from './metric.ts';
import type { Trajectories } from './trajectories.ts';

/** A step shorter than this share of the short side is standing still: flow of a still clip is noise below it. */
const STILL_SHARE = 1 / 256;
/**
 * A point counts as moving if it goes at least this share of what the fastest points go: background that is dragged
 * along where a subject covers it would blur the comparison.
 */
const MOVING_SHARE = 0.5;
/** The fastest points are this share of all, as in dynamic degree. */
const FASTEST_SHARE = 0.05;

/** Directions of the n points that move: unit vectors [n, T, 2], zero where a point pauses. */
interface MovingPoints {
  readonly directions: Float32Array;
  readonly count: number;
}

/**
 * How alike two clips move, −1 … 1 (Motion-Fidelity-Score, Yatim et al., CVPR 2024, section 5): each trajectory of
 * one clip is matched with the trajectory of the other that correlates best, where the correlation is the mean over
 * steps of the cosine between displacements; mean over trajectories, both ways. Sizes and speeds do not count,
 * directions and their order do. Unlike upstream only points that move, half as fast as the fastest 5 % or more, are
 * compared (background would hide the subject), a pause matches a pause, and points are followed by chained optical
 * flow instead of CoTracker. Clips of different length are compared over the shorter one. Two still clips give 1, a
 * still and a moving one 0.
 */
export function trajectoryCorrelation(a: Trajectories, b: Trajectories): number {
  requireSameEncoder('motion fidelity', a.estimator, b.estimator);
  const steps = Math.min(a.stepCount, b.stepCount);
  if (steps < 1) {
    throw new MetricError({ where: 'motion fidelity', expected: 'at least two frames', got: 'one' });
  }
  const [left, right] = [movingPoints(a, steps), movingPoints(b, steps)];
  if (left.count === 0 || right.count === 0) return left.count === right.count ? 1 : 0;
  const bestOfLeft = new Float64Array(left.count).fill(-1);
  const bestOfRight = new Float64Array(right.count).fill(-1);
  for (let i = 0; i < left.count; i++) {
    for (let j = 0; j < right.count; j++) {
      const correlation = correlate(left, i, right, j, steps);
      if (correlation > bestOfLeft[i]) bestOfLeft[i] = correlation;
      if (correlation > bestOfRight[j]) bestOfRight[j] = correlation;
    }
  }
  return (mean(bestOfLeft) + mean(bestOfRight)) / 2;
}

/** {@link trajectoryCorrelation} with the reference clip that it is highest with. */
export function motionFidelity(generated: Trajectories, references: readonly Trajectories[]): MetricValue {
  if (references.length === 0) {
    throw new MetricError({ where: 'motion fidelity', expected: 'reference clips', got: 'none' });
  }
  const correlations = references.map((reference) => trajectoryCorrelation(generated, reference));
  return {
    metric: 'motion-fidelity',
    value: Math.max(...correlations),
    encoder: generated.estimator,
    settings: { references: references.length },
  };
}

function movingPoints({ steps, pointCount, shortSide }: Trajectories, stepCount: number): MovingPoints {
  const still = shortSide * STILL_SHARE;
  const length = (step: number, point: number) => {
    const at = (step * pointCount + point) * 2;
    return Math.hypot(steps[at], steps[at + 1]);
  };
  const paths = new Float64Array(pointCount);
  for (let step = 0; step < stepCount; step++) {
    for (let point = 0; point < pointCount; point++) paths[point] += length(step, point);
  }
  const fastest = paths.toSorted().subarray(-Math.max(1, Math.trunc(pointCount * FASTEST_SHARE)));
  const shortest = Math.max(still * stepCount, MOVING_SHARE * mean(fastest));
  const moving = Array.from(paths.keys()).filter((point) => paths[point] >= shortest);
  const directions = new Float32Array(stepCount * moving.length * 2);
  for (let step = 0; step < stepCount; step++) {
    for (const [i, point] of moving.entries()) {
      const stepLength = length(step, point);
      if (stepLength < still) continue;
      const from = (step * pointCount + point) * 2;
      const to = (i * stepCount + step) * 2;
      directions[to] = steps[from] / stepLength;
      directions[to + 1] = steps[from + 1] / stepLength;
    }
  }
  return { directions, count: moving.length };
}

/** Mean cosine over the steps; 1 for a step in which both pause, 0 where one does. */
function correlate(a: MovingPoints, i: number, b: MovingPoints, j: number, steps: number): number {
  let sum = 0;
  let [p, q] = [i * steps * 2, j * steps * 2];
  for (let step = 0; step < steps; step++, p += 2, q += 2) {
    const [ax, ay, bx, by] = [a.directions[p], a.directions[p + 1], b.directions[q], b.directions[q + 1]];
    sum += ax === 0 && ay === 0 && bx === 0 && by === 0 ? 1 : ax * bx + ay * by;
  }
  return sum / steps;
}

function mean(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
