import { expect, it } from 'vitest';
import { readAhead } from './read-ahead.ts';

const later = <T>(value: T, ms: number) => new Promise<T>((resolve) => setTimeout(() => resolve(value), ms));

it('gives results in order, whichever is ready first, with no more than three begun ahead of their use', async () => {
  const begun: number[] = [];
  const found: number[] = [];
  const make = (i: number) => {
    begun.push(i);
    return later(10 * i, 5 * (7 - i));
  };
  for await (const value of readAhead([0, 1, 2, 3, 4, 5, 6], make)) {
    expect(begun.length).toBeLessThanOrEqual(found.length + 3);
    found.push(value);
  }
  expect(found).toEqual([0, 10, 20, 30, 40, 50, 60]);
  expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6]);
});

it('fails where the first one fails, and leaves no failure of a later one unhandled', async () => {
  const make = (i: number) => (i === 0 ? later(i, 1) : Promise.reject(new Error(`no ${i}`)));
  const found: number[] = [];
  const reading = (async () => {
    for await (const value of readAhead([0, 1, 2], make)) found.push(value);
  })();
  await expect(reading).rejects.toThrow('no 1');
  expect(found).toEqual([0]);
});

it('of nothing is nothing', async () => {
  for await (const value of readAhead([], () => Promise.resolve(1))) expect(value).toBeUndefined();
});
