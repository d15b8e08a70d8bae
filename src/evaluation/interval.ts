import { randomStream } from '../tensor/random.ts';

export interface IntervalOptions {
  readonly seed: number;
  readonly resamples: number;
  /** Of the interval, e.g. 0.95. */
  readonly level: number;
}

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * Percentile bootstrap interval (Efron, 1979) of a mean. Values of one cluster (videos of one prompt) are drawn
 * together, because they vary together; where there is one cluster only, each value is its own. undefined for a
 * single value: nothing tells how much it would vary.
 */
export function bootstrapInterval(
  values: readonly number[],
  clusters: readonly string[],
  { seed, resamples, level }: IntervalOptions,
): Interval | undefined {
  const units = unitsOf(values, clusters);
  if (units.length < 2) return undefined;
  const stream = randomStream(seed, 'bootstrap', units.length);
  const means = new Float64Array(resamples);
  for (let resample = 0; resample < resamples; resample++) {
    let sum = 0;
    let count = 0;
    for (let draw = 0; draw < units.length; draw++) {
      const unit = units[stream.integer(units.length)];
      sum += unit.sum;
      count += unit.count;
    }
    means[resample] = sum / count;
  }
  means.sort();
  return { low: quantile(means, (1 - level) / 2), high: quantile(means, (1 + level) / 2) };
}

/** How many independent units an interval rests on. */
export function countUnits(clusters: readonly string[]): number {
  const distinct = new Set(clusters).size;
  return distinct === 1 ? clusters.length : distinct;
}

interface Unit {
  readonly sum: number;
  readonly count: number;
}

function unitsOf(values: readonly number[], clusters: readonly string[]): Unit[] {
  const alone = new Set(clusters).size === 1;
  const units = new Map<string, Unit>();
  for (const [i, value] of values.entries()) {
    const key = alone ? String(i) : clusters[i];
    const { sum, count } = units.get(key) ?? { sum: 0, count: 0 };
    units.set(key, { sum: sum + value, count: count + 1 });
  }
  return [...units.values()];
}

/** Linear between order statistics (Hyndman and Fan's type 7, as numpy's default). */
function quantile(sorted: Float64Array, share: number): number {
  const place = (sorted.length - 1) * share;
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}
