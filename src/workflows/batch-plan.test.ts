import { describe, expect, it } from 'vitest';
import { type PlannedPhase, type PlanSettings, planStep } from './batch-plan.ts';

const identity: PlannedPhase = { name: 'identity', data: 'identity', batch: 1, items: 5 };
const motion: PlannedPhase = { name: 'motion', data: 'motion', batch: 3, items: 4 };
const settings: PlanSettings = {
  seed: 42,
  motionRatio: 0.5,
  timestepBias: {},
  phases: [identity, motion],
  order: 'drawn',
  first: 0,
  trainTimesteps: 1000,
};
const plans = (count: number, change: Partial<PlanSettings> = {}) =>
  Array.from({ length: count }, (_, step) => planStep({ ...settings, ...change }, step));

describe('planStep', () => {
  it('is a function of seed and step alone', () => {
    expect(planStep(settings, 17)).toEqual(plans(18)[17]);
    expect(plans(50, { seed: 43 })).not.toEqual(plans(50));
  });

  it('draws the motion phase with its probability; 0 and 1 are exact', () => {
    const share = (motionRatio: number) =>
      plans(2000, { motionRatio }).filter(({ phase }) => phase === 'motion').length / 2000;
    expect(share(0)).toBe(0);
    expect(share(1)).toBe(1);
    // Three standard deviations of a binomial share at p = 0.3.
    expect(Math.abs(share(0.3) - 0.3)).toBeLessThan(3 * Math.sqrt((0.3 * 0.7) / 2000));
  });

  it('gives the batch of its phase, with timesteps inside the schedule', () => {
    for (const { phase, items, timesteps } of plans(500)) {
      const planned = phase === 'motion' ? motion : identity;
      expect(items).toHaveLength(planned.batch);
      expect(timesteps).toHaveLength(planned.batch);
      for (const item of items) expect(item).toBeLessThan(planned.items);
      for (const timestep of timesteps) {
        expect(Number.isInteger(timestep) && timestep >= 0 && timestep < 1000).toBe(true);
      }
    }
    const all = plans(500).flatMap(({ timesteps }) => timesteps);
    expect(Math.min(...all)).toBeLessThan(50);
    expect(Math.max(...all)).toBeGreaterThan(950);
  });

  it('draws the timesteps of each kind of data with its own bias', () => {
    const noisy = (data: string) => {
      const drawn = plans(1000, { timestepBias: { motion: 1.5 } }).filter((plan) => plan.data === data);
      const all = drawn.flatMap(({ timesteps }) => timesteps);
      return all.filter((timestep) => timestep >= 500).length / all.length;
    };
    // 1 − 0.5^2.5 = 0.823; a twentieth is three standard deviations and more.
    expect(Math.abs(noisy('motion') - 0.823)).toBeLessThan(0.05);
    expect(Math.abs(noisy('identity') - 0.5)).toBeLessThan(0.1);
    // Without one, as before.
    expect(plans(20, { timestepBias: { motion: 0 } })).toEqual(plans(20));
  });

  it('shows every item once before any a second time, in an order of its own each pass', () => {
    const seen = plans(10, { motionRatio: 0 }).flatMap(({ items }) => items);
    expect(seen.slice(0, 5).toSorted()).toEqual([0, 1, 2, 3, 4]);
    expect(seen.slice(5).toSorted()).toEqual([0, 1, 2, 3, 4]);
    expect(seen.slice(0, 5)).not.toEqual(seen.slice(5));
  });

  it('takes turns from the stage’s first step on, and each set moves on at its own turns', () => {
    const generic: PlannedPhase = { name: 'preservation', data: 'generic', batch: 1, items: 3 };
    const inTurn = { ...settings, phases: [identity, generic], order: 'in-turn', first: 9 } as const;
    const taken = Array.from({ length: 12 }, (_, i) => planStep(inTurn, 9 + i));
    expect(taken.slice(0, 4).map(({ phase }) => phase)).toEqual([
      'identity',
      'preservation',
      'identity',
      'preservation',
    ]);
    const seen = taken.filter(({ data }) => data === 'generic').flatMap(({ items }) => items);
    expect(seen.slice(0, 3).toSorted()).toEqual([0, 1, 2]);
  });

  it('fills a batch larger than the data from the next pass', () => {
    const [{ items }] = plans(1, { motionRatio: 1, phases: [identity, { ...motion, batch: 9 }] });
    expect(items.slice(0, 4).toSorted()).toEqual([0, 1, 2, 3]);
    expect(items.slice(4, 8).toSorted()).toEqual([0, 1, 2, 3]);
  });
});
