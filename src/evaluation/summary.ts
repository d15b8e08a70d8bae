import { bootstrapInterval, countUnits, type Interval, type IntervalOptions } from './interval.ts';
import {
  describeEncoder,
  describeSettings,
  type EncoderIdentity,
  isComparable,
  MetricError,
  type MetricName,
  type MetricValue,
  type Settings,
} from './metric.ts';

/** A metric's mean over videos. */
export interface MetricSummary {
  readonly metric: MetricName;
  readonly mean: number;
  /** Absent where there is one video only. */
  readonly interval?: Interval;
  /** Videos. */
  readonly count: number;
  /** Independent units: prompts, or videos where there is one prompt. */
  readonly units: number;
  readonly encoder: EncoderIdentity;
  readonly settings: Settings;
}

/**
 * Mean of one metric over videos, with a bootstrap interval; `clusters` names for each value what it varies with
 * (its prompt). Refuses values of different encoders, sizes or frame rates: their mean would mean nothing.
 */
export function summarize(
  values: readonly MetricValue[],
  clusters: readonly string[],
  options: IntervalOptions,
): MetricSummary {
  const [first] = values;
  if (!first) throw new MetricError({ where: 'mean of a metric', expected: 'values', got: 'none' });
  const other = values.find((value) => !isComparable(value, first));
  if (other) {
    const told = ({ metric, encoder, settings }: MetricValue) =>
      `${metric} by ${describeEncoder(encoder)} with ${describeSettings(settings) || 'no settings'}`;
    throw new MetricError({
      where: `mean of ${first.metric}`,
      expected: `values measured in one way: ${told(first)}`,
      got: told(other),
      hint: 'evaluate videos of one size and frame rate together',
    });
  }
  const numbers = values.map(({ value }) => value);
  const interval = bootstrapInterval(numbers, clusters, options);
  return {
    metric: first.metric,
    mean: numbers.reduce((sum, value) => sum + value, 0) / numbers.length,
    ...(interval && { interval }),
    count: numbers.length,
    units: countUnits(clusters),
    encoder: first.encoder,
    settings: first.settings,
  };
}
