import { describe, expect, it } from 'vitest';
import { greyClip } from '../../test/metric-clips.ts';
import { zeros } from '../tensor/host-tensor.ts';
import {
  dynamicDegree,
  dynamicDegreeDeviation,
  topSpeeds,
  vbenchDynamic,
  vbenchFrameStep,
} from './dynamic-degree.ts';
import { type Flows, fieldOf } from './flow/flows.ts';
import { everyNthFrame } from './frames.ts';
import { MetricError } from './metric.ts';

const estimator = { name: 'by hand', source: 'test', settings: {} };

/** Pairs in which the first pixels go (3, 4)·speed and the others stay: lengths 5·speed and 0. */
function flowsOf(speeds: readonly number[], movingPixels: number, side = 20): Flows {
  const flows = { fields: zeros('f32', [speeds.length, side, side, 2]), estimator };
  for (const [pair, speed] of speeds.entries()) {
    const field = fieldOf(flows, pair);
    for (let i = 0; i < movingPixels; i++) field.set([3 * speed, 4 * speed], 2 * i);
  }
  return flows;
}

describe('raw dynamic degree', () => {
  it('is 0 for a clip that stands still', () => {
    expect(dynamicDegree({ flows: flowsOf([0, 0], 400), fps: 8 }).value).toBe(0);
  });

  it('is the mean over pairs of the fastest 5 %', () => {
    // 20 of 400 pixels are 5 %: lengths 5, 10 and 0 all of them moving.
    const value = dynamicDegree({ flows: flowsOf([1, 2, 0], 20), fps: 8 });
    expect(value.value).toBeCloseTo(5, 6);
    expect(value.settings).toEqual({ width: 20, height: 20, fps: 8, frameStep: 1, top: 0.05 });
    // Half of the fastest 5 % move: half the value. More than 5 %: no more than their speed.
    expect(topSpeeds(flowsOf([1], 10))).toEqual([2.5]);
    expect(topSpeeds(flowsOf([1], 200))).toEqual([5]);
  });

  it('takes whole pixels, and at least one of a tiny picture', () => {
    // 5 % of 39 × 39 = 76.05: 76 pixels.
    expect(topSpeeds(flowsOf([1], 76, 39))[0]).toBeCloseTo(5, 6);
    expect(topSpeeds(flowsOf([1], 75, 39))[0]).toBeCloseTo((5 * 75) / 76, 6);
    expect(topSpeeds(flowsOf([1], 1, 3))).toEqual([5]);
  });
});

describe('VBench yes or no', () => {
  // 16 frames at a short side of 256 would need 4 pairs above 6 pixels; at 20 pixels the threshold is 0.469.
  const slow = 0.09; // length 0.45
  const fast = 0.1; // length 0.5
  const of = (speeds: readonly number[], fps = 8) =>
    vbenchDynamic({ flows: flowsOf(speeds, 400), fps }).value;

  it('counts pairs above 6 pixels per 256 of the short side', () => {
    const fifteen = (count: number) => Array.from({ length: 15 }, (_, i) => (i < count ? fast : slow));
    expect(of(fifteen(3))).toBe(0);
    expect(of(fifteen(4))).toBe(1);
  });

  it('needs a quarter of the frames, rounded as Python does', () => {
    // 10 frames: 2.5 → 2. 14 frames: 3.5 → 4.
    expect(of([fast, fast, ...Array<number>(7).fill(0)])).toBe(1);
    expect(of([fast, fast, fast, ...Array<number>(10).fill(0)])).toBe(0);
  });

  it('never calls a still clip dynamic, however short', () => {
    expect(of([0])).toBe(0);
    expect(of([fast])).toBe(1);
  });

  it('takes 8 frames of a second', () => {
    // 12 / 8 = 1.5 → 2, 20 / 8 = 2.5 → 2, 25 / 8 = 3.125 → 3.
    expect([1, 8, 12, 20, 25, 30].map(vbenchFrameStep)).toEqual([1, 1, 2, 2, 3, 4]);
    expect(everyNthFrame(greyClip([0, 1, 2, 3, 4, 5, 6]), 3).data.filter((_, i) => i % 72 === 0)).toEqual(
      Uint8Array.of(0, 3, 6),
    );
  });
});

describe('deviation from the reference clips', () => {
  const degree = (speed: number, side = 20) =>
    dynamicDegree({ flows: flowsOf([speed], side * side, side), fps: 8 });

  it('is signed: more motion than the references is positive', () => {
    // References 5 and 10, mean 7.5.
    const references = [degree(1), degree(2)];
    expect(dynamicDegreeDeviation(degree(3), references).value).toBeCloseTo(7.5, 6);
    expect(dynamicDegreeDeviation(degree(1), references).value).toBeCloseTo(-2.5, 6);
    expect(dynamicDegreeDeviation(degree(1), references).settings).toMatchObject({ references: 2 });
  });

  it('refuses references measured in another way', () => {
    expect(() => dynamicDegreeDeviation(degree(1), [degree(1, 40)])).toThrow(MetricError);
    expect(() => dynamicDegreeDeviation(degree(1), [])).toThrow(MetricError);
    const other = { ...degree(1), encoder: { ...estimator, name: 'raft' } };
    expect(() => dynamicDegreeDeviation(degree(1), [other])).toThrow(MetricError);
  });
});
