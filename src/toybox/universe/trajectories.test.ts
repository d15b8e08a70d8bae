import { describe, expect, it } from 'vitest';
import { randomStream } from '../../tensor/random.ts';
import { FREE_MOTIONS } from './free-motions.ts';
import { MOTIONS, type Motion, motionById } from './motions.ts';
import type { Pose } from './trajectories.ts';
import { trajectoryOf } from './trajectory.ts';

/** The poses of nine frames at 8 frames per second, for several random draws. */
function posesOf(which: string | Motion, frames = 9, takes = 40): Pose[][] {
  const motion = typeof which === 'string' ? motionById(which) : which;
  return Array.from({ length: takes }, (_, take) => {
    const stream = randomStream(1, 'trajectories', motion.id, take);
    const frame = { duration: (frames - 1) / 8, height: 30, width: 24, direction: 1 as const };
    const trajectory = trajectoryOf(stream, motion, frame);
    return Array.from({ length: frames }, (_, index) => trajectory(index / 8));
  });
}
const isRising = (values: readonly number[]) => values.every((value, i) => i === 0 || value > values[i - 1]);
const range = (values: readonly number[]) => Math.max(...values) - Math.min(...values);

describe('trajectories', () => {
  it.each(MOTIONS.map(({ id }) => id))('%s stays finite, above the ground and near its place', (id) => {
    for (const frames of [9, 17]) {
      for (const pose of posesOf(id, frames, 10).flat()) {
        for (const value of Object.values(pose)) expect(Number.isFinite(value)).toBe(true);
        expect(pose.lift).toBeGreaterThanOrEqual(0);
        expect(pose.lift).toBeLessThan(45);
        expect(Math.abs(pose.x)).toBeLessThan(32);
        expect(pose.opacity).toBeGreaterThanOrEqual(0);
        expect(pose.opacity).toBeLessThanOrEqual(1);
        expect(pose.nearness).toBeGreaterThan(0.4);
        expect(Math.abs(pose.scaleY)).toBeLessThan(2);
      }
    }
  });

  it('do what they are called', () => {
    for (const poses of posesOf('slide-right')) expect(isRising(poses.map(({ x }) => x))).toBe(true);
    for (const poses of posesOf('slide-left')) expect(isRising(poses.map(({ x }) => -x))).toBe(true);
    for (const poses of posesOf('grow')) expect(isRising(poses.map(({ scaleY }) => scaleY))).toBe(true);
    for (const poses of posesOf('shrink')) expect(isRising(poses.map(({ scaleY }) => -scaleY))).toBe(true);
    for (const poses of posesOf('float')) expect(isRising(poses.map(({ lift }) => lift))).toBe(true);
    for (const poses of posesOf('approach'))
      expect(isRising(poses.map(({ nearness }) => nearness))).toBe(true);
    for (const poses of posesOf('retreat'))
      expect(isRising(poses.map(({ nearness }) => -nearness))).toBe(true);
    for (const poses of posesOf('jump')) expect(range(poses.map(({ lift }) => lift))).toBeGreaterThan(10);
    for (const poses of posesOf('spin'))
      expect(range(poses.map(({ scaleX }) => scaleX))).toBeGreaterThan(0.9);
    for (const poses of posesOf('fall')) {
      expect(poses[0].lift).toBeGreaterThan(20);
      expect(poses[8].lift).toBeLessThan(8);
    }
  });

  it('free ones are whole, and show nothing of what they leave out', () => {
    for (const motion of FREE_MOTIONS) {
      for (const poses of posesOf(motion, 9, 12)) {
        for (const pose of poses) {
          for (const value of Object.values(pose)) expect(Number.isFinite(value)).toBe(true);
          expect(pose.lift).toBeGreaterThanOrEqual(0);
          expect(pose.lift).toBeLessThan(45);
          expect(Math.abs(pose.x)).toBeLessThan(32);
          expect(Math.abs(pose.scaleY)).toBeLessThan(2.2);
          // Blinking.
          expect(pose.opacity).toBe(1);
        }
        const turn = range(poses.map(({ rotation }) => rotation));
        // Rolling and the somersault.
        if (/left|right/.test(motion.id)) expect(turn).toBeLessThan(0.7 * Math.PI);
        // Rolling is faster, too.
        expect(turn).toBeLessThan(2 * Math.PI);
        // Hopping leaves the ground again and again.
        const landings = poses.slice(1).filter(({ lift }, i) => lift < 0.5 && poses[i].lift >= 0.5).length;
        expect(landings).toBeLessThan(3);
        // Pulsating and wobbling: two changes of direction and more.
        const growth = poses
          .slice(1)
          .map(({ scaleY }, i) => Math.sign(Math.round((scaleY - poses[i].scaleY) * 1e6)));
        const changes = growth
          .filter((sign) => sign !== 0)
          .filter((sign, i, all) => i > 0 && sign !== all[i - 1]);
        expect(changes.length).toBeLessThan(3);
      }
    }
  });

  it('held-out ones too', () => {
    for (const poses of posesOf('roll')) {
      expect(range(poses.map(({ rotation }) => rotation))).toBeGreaterThan(2 * Math.PI);
      expect(range(poses.map(({ x }) => x))).toBeGreaterThan(15);
    }
    for (const poses of posesOf('somersault', 17)) {
      const turns = poses.map(({ rotation }) => Math.abs(rotation));
      expect(Math.max(...turns)).toBeGreaterThan(Math.PI);
      // Upside down only in the air.
      for (const { rotation, lift } of poses) {
        if (Math.cos(rotation) < -0.5) expect(lift).toBeGreaterThan(5);
      }
    }
    for (const poses of posesOf('blink')) {
      expect(new Set(poses.map(({ opacity }) => opacity))).toEqual(new Set([0, 1]));
    }
    for (const poses of posesOf('topple')) {
      expect(poses[0].rotation).toBeCloseTo(0);
      expect(Math.abs(poses[8].rotation)).toBeGreaterThan(1.2);
    }
    for (const poses of posesOf('pace', 17)) {
      const steps = poses.slice(1).map(({ x }, i) => Math.sign(x - poses[i].x));
      expect(new Set(steps).size).toBeGreaterThanOrEqual(2);
    }
    for (const poses of posesOf('headstand', 17)) {
      expect(Math.min(...poses.map(({ rotation }) => Math.cos(rotation)))).toBeLessThan(-0.95);
    }
  });
});
