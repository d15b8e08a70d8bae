import { describe, expect, it } from 'vitest';
import { floats } from '../tensor/host-tensor.ts';
import { combineGuidance, combineGuidedBatch, guidanceSchedule } from './guidance.ts';

describe('combineGuidance', () => {
  const unconditional = floats([1, 3], [0, 1, -2]);
  const conditional = floats([1, 3], [1, 1, 2]);

  it('extrapolates from the unconditional to the conditional output', () => {
    expect([...combineGuidance(unconditional, conditional, 6).data]).toEqual([6, 1, 22]);
    expect([...combineGuidance(unconditional, conditional, 1).data]).toEqual([1, 1, 2]);
    expect([...combineGuidance(unconditional, conditional, 0).data]).toEqual([0, 1, -2]);
  });

  it('takes a doubled batch, unconditional half first', () => {
    const guided = combineGuidedBatch(floats([2, 3], [...unconditional.data, ...conditional.data]), 6);
    expect(guided).toEqual(floats([1, 3], [6, 1, 22]));
  });

  it('refuses what does not pair up', () => {
    expect(() => combineGuidance(unconditional, floats([3], [0, 0, 0]), 6)).toThrow(/guidance/);
    expect(() => combineGuidedBatch(floats([3, 1], [0, 0, 0]), 6)).toThrow(/even batch/);
    expect(() => combineGuidedBatch(floats([], [0]), 6)).toThrow(/even batch/);
  });
});

describe('guidanceSchedule', () => {
  it('constant stays', () => {
    const guidance = guidanceSchedule('constant', 6, 50);
    expect([999, 500, 0].map(guidance)).toEqual([6, 6, 6]);
  });

  it('dynamic rises over its intended range and keeps its bounds outside', () => {
    const guidance = guidanceSchedule('dynamic', 6, 50);
    expect(guidance(50)).toBe(1);
    expect(guidance(0)).toBe(7);
    expect(guidance(25)).toBeCloseTo(1 + 3 * (1 - Math.cos(Math.PI / 32)), 12);
    for (let t = 0; t < 1000; t++) {
      expect(guidance(t)).toBeGreaterThanOrEqual(1);
      expect(guidance(t)).toBeLessThanOrEqual(7);
    }
  });
});
