import { describe, expect, it } from 'vitest';
import { type PlanSettings, planStep } from './batch-plan.ts';

const settings: PlanSettings = {
  seed: 42,
  motionRatio: 0.5,
  batch: { identity: 1, motion: 3 },
  items: { identity: 5, motion: 4 },
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
      expect(items).toHaveLength(settings.batch[phase]);
      expect(timesteps).toHaveLength(settings.batch[phase]);
      for (const item of items) expect(item).toBeLessThan(settings.items[phase]);
      for (const timestep of timesteps) {
        expect(Number.isInteger(timestep) && timestep >= 0 && timestep < 1000).toBe(true);
      }
    }
    const all = plans(500).flatMap(({ timesteps }) => timesteps);
    expect(Math.min(...all)).toBeLessThan(50);
    expect(Math.max(...all)).toBeGreaterThan(950);
  });

  it('shows every item once before any a second time, in an order of its own each pass', () => {
    const seen = plans(10, { motionRatio: 0 }).flatMap(({ items }) => items);
    expect(seen.slice(0, 5).toSorted()).toEqual([0, 1, 2, 3, 4]);
    expect(seen.slice(5).toSorted()).toEqual([0, 1, 2, 3, 4]);
    expect(seen.slice(0, 5)).not.toEqual(seen.slice(5));
  });

  it('fills a batch larger than the data from the next pass', () => {
    const [{ items }] = plans(1, { motionRatio: 1, batch: { identity: 1, motion: 9 } });
    expect(items.slice(0, 4).toSorted()).toEqual([0, 1, 2, 3]);
    expect(items.slice(4, 8).toSorted()).toEqual([0, 1, 2, 3]);
  });
});
