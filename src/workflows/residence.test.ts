import { describe, expect, it } from 'vitest';
import { residenceOf } from './residence.ts';

const weights = (elements: number) => ({ entries: new Map([['w', { shape: [elements] }]]) });

describe('residenceOf', () => {
  it('folds what is small and maps what would not fit', () => {
    expect(residenceOf(weights(1000))).toBe('fold');
    expect(residenceOf(weights(1e12))).toBe('mapped');
  });
});
