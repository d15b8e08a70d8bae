import { describe, expect, it } from 'vitest';
import { discClip, type Path } from '../../test/metric-clips.ts';
import { zeros } from '../tensor/host-tensor.ts';
import { createFarnebackFlow } from './flow/farneback.ts';
import { type Flows, fieldOf } from './flow/flows.ts';
import { consecutivePairs } from './frames.ts';
import { motionFidelity, trajectoryCorrelation } from './motion-fidelity.ts';
import { type Trajectories, trackPoints } from './trajectories.ts';

const estimator = { name: 'by hand', source: 'test', settings: {} };
const SIDE = 256; // Standing still is below 1 pixel.

/** Points with their displacements, one list for each point. */
function points(...paths: readonly (readonly (readonly [number, number])[])[]): Trajectories {
  const stepCount = paths[0].length;
  const steps = new Float32Array(stepCount * paths.length * 2);
  for (const [point, path] of paths.entries()) {
    for (const [step, move] of path.entries()) steps.set(move, (step * paths.length + point) * 2);
  }
  return { steps, stepCount, pointCount: paths.length, shortSide: SIDE, estimator };
}

const right = [2, 0] as const;
const left = [-2, 0] as const;
const up = [0, -2] as const;
const still = [0, 0] as const;

describe('trajectory correlation', () => {
  it('is 1 for the same directions at other speeds, −1 for the opposite, 0 for a right angle', () => {
    const a = points([right, right]);
    expect(
      trajectoryCorrelation(
        a,
        points([
          [5, 0],
          [3, 0],
        ]),
      ),
    ).toBe(1);
    expect(trajectoryCorrelation(a, points([left, left]))).toBe(-1);
    expect(trajectoryCorrelation(a, points([up, up]))).toBeCloseTo(0, 12);
  });

  it('follows the order in time', () => {
    // Right then up, against up then right: both steps at a right angle. Against itself reversed: −1 and −1.
    expect(trajectoryCorrelation(points([right, up]), points([up, right]))).toBeCloseTo(0, 12);
    expect(trajectoryCorrelation(points([right, right, up]), points([right, up, up]))).toBeCloseTo(2 / 3, 6);
  });

  it('matches each point with the best of the other clip, both ways', () => {
    // One clip has right only, the other right and left: forth 1, back (1 − 1) / 2.
    const value = trajectoryCorrelation(points([right, right]), points([right, right], [left, left]));
    expect(value).toBeCloseTo((1 + 0) / 2, 12);
  });

  it('leaves points that stand still out', () => {
    const background = Array.from({ length: 30 }, () => [still, [0.3, 0.1]] as const);
    const a = points([right, up], ...background);
    expect(trajectoryCorrelation(a, points([right, up]))).toBe(1);
    expect(trajectoryCorrelation(a, points([left, [0, 2]], ...background))).toBe(-1);
  });

  it('leaves points out that go less than half as far as the fastest 5 %', () => {
    // 40 points, so 5 % are two of them: their mean path is (8 + 4) / 2, and half of it is 3.
    const motionless = Array.from({ length: 36 }, () => [still, still] as const);
    const fast = [
      [
        [4, 0],
        [4, 0],
      ],
      [
        [2, 0],
        [2, 0],
      ],
    ] as const;
    const slow = (length: number) =>
      [
        [
          [0, length / 2],
          [0, length / 2],
        ],
        [still, still],
      ] as const;
    const reference = points(...fast, ...slow(0), ...motionless);
    expect(trajectoryCorrelation(points(...fast, ...slow(2.9), ...motionless), reference)).toBe(1);
    // Of three points that move one goes at a right angle: forth (1 + 1 + 0) / 3, back 1.
    const value = trajectoryCorrelation(points(...fast, ...slow(3.1), ...motionless), reference);
    expect(value).toBeCloseTo((2 / 3 + 1) / 2, 6);
  });

  it('matches a pause with a pause', () => {
    const paused = points([[4, 0], still, [4, 0]]);
    expect(trajectoryCorrelation(paused, paused)).toBe(1);
    expect(trajectoryCorrelation(paused, points([right, right, right]))).toBeCloseTo(2 / 3, 6);
  });

  it('gives still clips 1 with each other and 0 with moving ones', () => {
    const motionless = points([still, still], [still, still]);
    expect(trajectoryCorrelation(motionless, motionless)).toBe(1);
    expect(trajectoryCorrelation(motionless, points([right, right]))).toBe(0);
  });

  it('compares clips of different length over the shorter one', () => {
    expect(trajectoryCorrelation(points([right, up]), points([right, up, left, left]))).toBe(1);
  });
});

it('motion fidelity takes the most similar reference clip', () => {
  const value = motionFidelity(points([right, right]), [
    points([up, up]),
    points([right, up]),
    points([left, left]),
  ]);
  expect(value.value).toBeCloseTo(0.5, 6);
  expect(value).toMatchObject({ metric: 'motion-fidelity', encoder: estimator, settings: { references: 3 } });
  expect(() => motionFidelity(points([right]), [])).toThrow('expected reference clips, got none');
});

describe('tracking', () => {
  it('starts on an even grid and follows the flow from place to place', () => {
    // The left half goes 40 to the right, the right half goes down: points turn when they cross the middle.
    const side = 32;
    const flows: Flows = { fields: zeros('f32', [3, side, side, 2]), estimator };
    for (let pair = 0; pair < 3; pair++) {
      const field = fieldOf(flows, pair);
      for (let i = 0; i < side * side; i++) field.set(i % side < side / 2 ? [16, 0] : [0, 3], 2 * i);
    }
    const { steps, pointCount, stepCount, shortSide } = trackPoints(flows);
    expect([pointCount, stepCount, shortSide]).toEqual([256, 3, 32]);
    const pathOf = (point: number) =>
      [0, 1, 2].map((step) => [...steps.subarray((step * 256 + point) * 2, (step * 256 + point) * 2 + 2)]);
    expect(pathOf(0)).toEqual([
      [16, 0],
      [0, 3],
      [0, 3],
    ]);
    expect(pathOf(255)).toEqual([
      [0, 3],
      [0, 3],
      [0, 3],
    ]);
  });

  it('reads between pixels bilinearly and beyond the border from the border', () => {
    const flows: Flows = { fields: zeros('f32', [2, 2, 2, 2]), estimator };
    // Two pixels across: flow x is 0 at the left and 1 at the right; the grid is finer than the pixels.
    for (let pair = 0; pair < 2; pair++) fieldOf(flows, pair).set([0, 0, 1, 0, 0, 0, 1, 0]);
    const { steps, pointCount } = trackPoints(flows);
    expect(pointCount).toBe(256);
    const first = Array.from({ length: 16 }, (_, point) => steps[point * 2]);
    const expected = Array.from({ length: 16 }, (_, i) =>
      Math.min(1, Math.max(0, ((i + 0.5) / 16) * 2 - 0.5)),
    );
    for (const [i, value] of first.entries()) expect(value).toBeCloseTo(expected[i], 6);
  });
});

describe('on pictures, with classical flow', () => {
  const flow = createFarnebackFlow();
  const tracked = async (path: Path, seed: number) => {
    const clip = discClip(7, 64, path, seed);
    return trackPoints(await flow.estimate(clip, consecutivePairs(7)));
  };

  it('tells the same motion of another subject from other motions', async () => {
    const reference = await tracked((frame) => [2.5 * frame - 8, 0], 1);
    const same = await tracked((frame) => [3 * frame - 9, 2], 2);
    const opposite = await tracked((frame) => [8 - 2.5 * frame, 0], 3);
    const crossing = await tracked((frame) => [0, 2.5 * frame - 8], 4);
    expect(trajectoryCorrelation(same, reference)).toBeGreaterThan(0.8);
    expect(trajectoryCorrelation(opposite, reference)).toBeLessThan(-0.5);
    expect(Math.abs(trajectoryCorrelation(crossing, reference))).toBeLessThan(0.5);
    const motionless = await tracked(() => [0, 0], 5);
    expect(trajectoryCorrelation(motionless, reference)).toBe(0);
  });
});
