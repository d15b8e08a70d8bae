import { afterEach, describe, expect, it } from 'vitest';
import { floats } from '../../src/tensor/host-tensor.ts';
import { expectClose, GoldenTensors, goldenRoot, openGolden } from './golden.ts';

describe('golden root', () => {
  const before = process.env.DUALREAL_GOLDEN;
  afterEach(() => {
    if (before === undefined) delete process.env.DUALREAL_GOLDEN;
    else process.env.DUALREAL_GOLDEN = before;
  });

  it('follows DUALREAL_GOLDEN and knows an absent folder', () => {
    process.env.DUALREAL_GOLDEN = '/nowhere/at/all';
    expect(goldenRoot()).toBe('/nowhere/at/all');
    expect(openGolden('schedulers')).toBeUndefined();
  });
});

describe('GoldenTensors', () => {
  const tensors = new GoldenTensors(
    'io',
    new Map([
      ['a.1.out', floats([1], [1])],
      ['a.20.out', floats([1], [2])],
      ['b', floats([1], [3])],
    ]),
  );

  it('enumerates cases and names what is missing', () => {
    expect(tensors.matching(/^a\.(\d+)\.out$/).map((match) => match[1])).toEqual(['1', '20']);
    expect(() => tensors.get('c')).toThrow('io has no tensor c');
  });
});

describe('expectClose', () => {
  const expected = floats([2, 2], [1, 2, 3, 4]);

  it('accepts what is within abs + rel·|expected|', () => {
    expectClose([1, 2, 3, 4.25], [1, 2, 3, 4], { abs: 0.05, rel: 0.05 }, 'close');
    expectClose(
      [Number.NaN, Number.POSITIVE_INFINITY],
      [Number.NaN, Number.POSITIVE_INFINITY],
      {},
      'not finite',
    );
  });

  it('names the label, the place and the tolerance of the worst element', () => {
    expect(() => expectClose(floats([2, 2], [1, 2.5, 4, 4]), expected, { abs: 0.1 }, 'x')).toThrow(
      /x: worst difference 1\.000e\+0 at index 2 \[1, 0\].*tolerance abs 0\.1 rel 0/,
    );
  });

  it('refuses NaN, infinities, wrong shapes and wrong lengths', () => {
    expect(() => expectClose([Number.NaN], [0], { abs: 1 }, 'x')).toThrow(/index 0/);
    expect(() => expectClose([0], [Number.POSITIVE_INFINITY], { rel: 1 }, 'x')).toThrow(/index 0/);
    expect(() => expectClose(floats([4], [1, 2, 3, 4]), expected, {}, 'x')).toThrow(/shape \[4\]/);
    expect(() => expectClose([1], [1, 2], {}, 'x')).toThrow(/1 elements/);
  });
});
