import { describe, expect, it } from 'vitest';
import { randomStream } from '../tensor/random.ts';
import { bootstrapInterval } from './interval.ts';
import { describeEncoder, MetricError, type MetricValue } from './metric.ts';
import { summarize } from './summary.ts';

const options = { seed: 1, resamples: 2000, level: 0.95 };
const own = (values: readonly unknown[]) => values.map((_, i) => String(i));

describe('bootstrap interval', () => {
  it('is about ± 1.96 standard errors for many values', () => {
    const values = [...randomStream(3, 'values').normals(400)].map((value) => 5 + 2 * value);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
    const half = (1.96 * deviation) / Math.sqrt(values.length);
    const { low, high } = bootstrapInterval(values, own(values), options)!;
    expect(Math.abs(low - (mean - half))).toBeLessThan(0.15 * half);
    expect(Math.abs(high - (mean + half))).toBeLessThan(0.15 * half);
  });

  it('holds the true mean about as often as it says', () => {
    let held = 0;
    for (let trial = 0; trial < 200; trial++) {
      const values = [...randomStream(trial, 'trial').normals(40)];
      const { low, high } = bootstrapInterval(values, own(values), {
        seed: trial,
        resamples: 300,
        level: 0.9,
      })!;
      if (low <= 0 && high >= 0) held++;
    }
    // 90 % of 200 with four standard deviations: the count is between 163 and 197.
    expect(held).toBeGreaterThan(163);
    expect(held).toBeLessThan(197);
  });

  it('two values give the values themselves: a quarter of the resamples has one of them twice', () => {
    expect(bootstrapInterval([1, 3], ['a', 'b'], options)).toEqual({ low: 1, high: 3 });
  });

  it('is wider where values of one prompt vary together', () => {
    const values = [0, 0, 0, 0, 1, 1, 1, 1];
    const apart = bootstrapInterval(values, own(values), options)!;
    const together = bootstrapInterval(values, ['a', 'a', 'a', 'a', 'b', 'b', 'b', 'b'], options)!;
    expect(together).toEqual({ low: 0, high: 1 });
    expect(apart.low).toBeGreaterThan(0);
    expect(apart.high).toBeLessThan(1);
  });

  it('weighs prompts by their videos', () => {
    // Whatever is drawn, the mean is one of 0, 3/4 (both once) and 1; drawn both: (0 + 3) / 4.
    const { low, high } = bootstrapInterval([0, 1, 1, 1], ['a', 'b', 'b', 'b'], { ...options, level: 0.2 })!;
    expect([low, high]).toEqual([0.75, 0.75]);
  });

  it('is the same for the same seed', () => {
    const values = [1, 5, 2, 8, 3];
    expect(bootstrapInterval(values, own(values), options)).toEqual(
      bootstrapInterval(values, own(values), options),
    );
  });

  it('is not there for one value', () => {
    expect(bootstrapInterval([4], ['a'], options)).toBeUndefined();
  });
});

describe('summarize', () => {
  const encoder = { name: 'clip', source: 'here', hash: 'abcdef0123456789', settings: { dim: 4, side: 8 } };
  const value = (number: number): MetricValue => ({
    metric: 'clip-t',
    value: number,
    encoder,
    settings: { width: 8 },
  });

  it('says what made the number and what the interval rests on', () => {
    const summary = summarize([value(1), value(2), value(6)], ['x', 'x', 'x'], options);
    expect(summary).toMatchObject({ mean: 3, count: 3, units: 3, encoder, settings: { width: 8 } });
    expect(summarize([value(1), value(2), value(6)], ['x', 'x', 'y'], options).units).toBe(2);
    expect(summarize([value(1)], ['x'], options)).not.toHaveProperty('interval');
    expect(describeEncoder(encoder)).toBe('clip (here, abcdef012345; dim 4, side 8)');
  });

  it('refuses what cannot be averaged', () => {
    const reordered = { ...value(1), encoder: { ...encoder, source: 'copy', settings: { side: 8, dim: 4 } } };
    expect(summarize([value(1), reordered], ['x', 'y'], options).mean).toBe(1);
    for (const other of [
      { ...value(1), settings: { width: 16 } },
      { ...value(1), encoder: { ...encoder, hash: 'ffffff' } },
      { ...value(1), encoder: { ...encoder, settings: { dim: 4, side: 16 } } },
      { ...value(1), metric: 'clip-i' as const },
    ]) {
      expect(() => summarize([value(1), other], ['x', 'y'], options)).toThrow(MetricError);
    }
    expect(() => summarize([], [], options)).toThrow('expected values, got none');
  });
});
