import { expect, it } from 'vitest';
import { mayBegin } from './bench.ts';

it('begins a case only where it would be done in time, by the pace so far', () => {
  expect(mayBegin(0, 0, 1)).toBe(true);
  expect(mayBegin(5, 1000, undefined)).toBe(true);
  // Two cases in 6 minutes: a third until 9.
  expect(mayBegin(2, 6, 9)).toBe(true);
  expect(mayBegin(2, 6, 8.9)).toBe(false);
});
