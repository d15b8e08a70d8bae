import { describe, expect, it } from 'vitest';
import { LEARNING_RATE_SCHEDULES, learningRateSchedule } from './learning-rate.ts';

const settings = { baseLearningRate: 2, warmupSteps: 10, totalSteps: 110 } as const;

describe('learningRateSchedule', () => {
  it('warms up from 0 to the base rate, except when constant', () => {
    for (const kind of LEARNING_RATE_SCHEDULES) {
      const rate = learningRateSchedule({ ...settings, kind });
      expect(rate(0)).toBe(kind === 'constant' ? 2 : 0);
      expect(rate(5)).toBe(kind === 'constant' ? 2 : 1);
      expect(rate(10)).toBe(2);
    }
  });

  it('decays as named', () => {
    expect(learningRateSchedule({ ...settings, kind: 'constant_with_warmup' })(109)).toBe(2);
    const linear = learningRateSchedule({ ...settings, kind: 'linear' });
    expect([60, 110, 200].map(linear)).toEqual([1, 0, 0]);
    const cosine = learningRateSchedule({ ...settings, kind: 'cosine' });
    expect(cosine(60)).toBeCloseTo(1, 12);
    expect(cosine(110)).toBe(0);
    expect(cosine(160)).toBeCloseTo(1, 12);
    const restarts = learningRateSchedule({ ...settings, kind: 'cosine_with_restarts', cycles: 2 });
    expect(restarts(35)).toBeCloseTo(1, 12);
    expect(restarts(60)).toBe(2);
    expect([110, 160].map(restarts)).toEqual([0, 0]);
  });

  it('stands a warm-up as long as the run', () => {
    const rate = learningRateSchedule({ kind: 'cosine', baseLearningRate: 1, warmupSteps: 4, totalSteps: 4 });
    expect([0, 1, 2, 3].map(rate)).toEqual([0, 0.25, 0.5, 0.75]);
  });

  it.each([
    [{ baseLearningRate: Number.NaN }, /base learning rate/],
    [{ baseLearningRate: -1 }, /base learning rate/],
    [{ warmupSteps: -1 }, /warm-up steps/],
    [{ warmupSteps: 1.5 }, /warm-up steps/],
    [{ totalSteps: 0 }, /total steps/],
    [{ cycles: 0 }, /cycles/],
  ])('refuses %j', (change, message) => {
    expect(() => learningRateSchedule({ ...settings, kind: 'cosine', ...change })).toThrow(message);
  });
});
