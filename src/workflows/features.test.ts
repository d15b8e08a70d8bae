import { describe, expect, it } from 'vitest';
import { floats } from '../tensor/host-tensor.ts';
import { type ItemFeatures, rowOf, sampleLatents, stack } from './features.ts';

const item = (mean: readonly number[], logVariance: readonly number[]): ItemFeatures => ({
  path: 'clip.mp4',
  posterior: {
    mean: floats([1, 2, 1, 2], mean),
    logVariance: floats([1, 2, 1, 2], logVariance),
  },
  text: floats([1, 1], [0]),
});

describe('sampleLatents', () => {
  const certain = item([1, 2, 3, 4], [-60, -60, -60, -60]);

  it('is the scaled mean where the posterior is certain', () => {
    const { shape, data } = sampleLatents([certain, certain], 0.5, 42, 0);
    expect(shape).toEqual([2, 1, 2, 1, 2]);
    for (const [i, value] of [...data].entries()) expect(value).toBeCloseTo([0.5, 1, 1.5, 2][i % 4], 6);
  });

  it('is drawn anew for every item and step, and the same again for the same step', () => {
    const wide = item([0, 0, 0, 0], [0, 0, 0, 0]);
    const draw = (step: number) => [...sampleLatents([wide, wide], 1, 42, step).data];
    expect(draw(3)).toEqual(draw(3));
    expect(draw(3)).not.toEqual(draw(4));
    expect(draw(3).slice(0, 4)).not.toEqual(draw(3).slice(4));
  });

  it('has the deviation exp(logVariance / 2)', () => {
    const logVariance = Math.log(9);
    const wide = item([5, 5, 5, 5], [logVariance, logVariance, logVariance, logVariance]);
    const values = Array.from({ length: 500 }, (_, step) => [
      ...sampleLatents([wide], 1, 1, step).data,
    ]).flat();
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    // Four standard errors of 2000 draws with deviation 3.
    expect(Math.abs(mean - 5)).toBeLessThan((4 * 3) / Math.sqrt(2000));
    expect(Math.abs(variance / 9 - 1)).toBeLessThan(4 * Math.sqrt(2 / 2000));
  });
});

it('stack joins rows and rowOf takes one out', () => {
  const rows = [floats([2], [1, 2]), floats([2], [3, 4])];
  const stacked = stack(rows);
  expect(stacked.shape).toEqual([2, 2]);
  expect(rowOf(stacked, 1)).toEqual(rows[1]);
});
