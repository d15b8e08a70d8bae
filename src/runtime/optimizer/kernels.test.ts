import { describe, expect, it } from 'vitest';
import { randomStream } from '../../tensor/random.ts';
import { type AdamWCoefficients, assembleKernels, instantiateKernels } from './kernels.ts';
import { Memory } from './web-assembly.ts';

const PLANE = 4096;
const GUARD = 777.25;

/** Four planes of guard values with `length` random elements at element `start` of each. */
function fixture(start: number, length: number, seed = 1) {
  const arena = new Memory({ initial: 1, maximum: 1 });
  const kernels = instantiateKernels(arena);
  const plane = (index: number) => new Float32Array(arena.buffer, index * PLANE * 4, PLANE);
  const planes = [0, 1, 2, 3].map((index) => {
    const random = randomStream(seed, 'plane', index, length);
    const values = random
      .normals(length)
      .map((value) => (index === 3 ? value * value : value) * 10 ** -index);
    const view = plane(index).fill(GUARD);
    view.set(values, start);
    return { view, values, address: (index * PLANE + start) * 4 };
  });
  const range = (index: number) => planes[index].view.slice(start, start + length);
  const guardsIntact = () =>
    planes.every(({ view }) =>
      view.every((value, at) => (at >= start && at < start + length) || value === GUARD),
    );
  return { kernels, planes, range, guardsIntact };
}

const COEFFICIENTS: AdamWCoefficients = [0.3, 1 - 1e-3 * 1e-2, 0.9, 0.1, 0.95, 0.05, -1.7e-3, 1.6, 1e-8];

/** The kernel's formula in f32 arithmetic, rounded after every operation as the documentation states it. */
function stepOfOne(p: number, g0: number, m0: number, v0: number): [number, number, number] {
  const round = Math.fround;
  const [scale, decay, beta1, rest1, beta2, rest2, size, inverseCorrection, epsilon] =
    COEFFICIENTS.map(round);
  const g = round(scale * g0);
  const m = round(round(beta1 * m0) + round(rest1 * g));
  const v = round(round(beta2 * v0) + round(round(rest2 * g) * g));
  const denominator = round(round(inverseCorrection * round(Math.sqrt(v))) + epsilon);
  return [round(round(decay * p) + round(round(size * m) / denominator)), m, v];
}

const LENGTHS = [...Array.from({ length: 36 }, (_, length) => length), 63, 64, 65, 1000, 1023];
const STARTS = [0, 1, 2, 3, 16];

describe('optimizer kernels', () => {
  it('assemble to the same bytes each time', () => {
    expect(assembleKernels()).toEqual(assembleKernels());
  });

  it.each(STARTS)(
    'adamw: bit-equal to the formula for every length from element %i, guards intact',
    (start) => {
      for (const length of LENGTHS) {
        const { kernels, planes, range, guardsIntact } = fixture(start, length);
        const [p, g, m, v] = planes;
        kernels.adamw(p.address, g.address, m.address, v.address, length, ...COEFFICIENTS);
        const expected = Array.from({ length }, (_, i) =>
          stepOfOne(p.values[i], g.values[i], m.values[i], v.values[i]),
        );
        expect([...range(0)]).toEqual(expected.map(([parameter]) => parameter));
        expect([...range(2)]).toEqual(expected.map(([, first]) => first));
        expect([...range(3)]).toEqual(expected.map(([, , second]) => second));
        expect(range(1)).toEqual(g.values);
        expect(guardsIntact()).toBe(true);
      }
    },
  );

  it('sumOfSquares: f64-accurate for every length and start, and the same in every run', () => {
    for (const start of STARTS) {
      for (const length of LENGTHS) {
        const { kernels, planes } = fixture(start, length);
        const { values, address } = planes[0];
        const exact = values.reduce((sum, value) => sum + value * value, 0);
        const sum = kernels.sumOfSquares(address, length);
        expect(Math.abs(sum - exact)).toBeLessThanOrEqual(1e-14 * exact);
        expect(kernels.sumOfSquares(address, length)).toBe(sum);
      }
    }
  });

  it('sumOfSquares: keeps what f32 sums lose', () => {
    const { kernels, planes } = fixture(0, 1000);
    planes[0].view.fill(1e-4, 0, 1000);
    planes[0].view[0] = 100;
    const small = Math.fround(1e-4) ** 2;
    expect(kernels.sumOfSquares(0, 1000) - 1e4).toBeCloseTo(999 * small, 9);
  });

  it('sumOfSquares: finite for the largest f32 values, not finite for NaN or infinity at any position', () => {
    for (const length of LENGTHS.slice(1, 40)) {
      const { kernels, planes } = fixture(1, length);
      const { view, address } = planes[0];
      const largest = 3.4028234663852886e38;
      view.fill(-largest, 1, 1 + length);
      expect(kernels.sumOfSquares(address, length) / (length * largest * largest)).toBeCloseTo(1, 13);
      for (let at = 0; at < length; at++) {
        for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
          view[1 + at] = bad;
          expect(Number.isFinite(kernels.sumOfSquares(address, length))).toBe(false);
        }
        view[1 + at] = 0;
      }
    }
  });

  it('movingAverage: bit-equal to the formula, guards intact', () => {
    for (const length of LENGTHS) {
      const { kernels, planes, range, guardsIntact } = fixture(3, length);
      const [average, parameter] = planes;
      kernels.movingAverage(average.address, parameter.address, length, 0.99, 1 - 0.99);
      const round = Math.fround;
      const expected = [...average.values].map((value, i) =>
        round(round(round(0.99) * value) + round(round(1 - 0.99) * parameter.values[i])),
      );
      expect([...range(0)]).toEqual(expected);
      expect(range(1)).toEqual(parameter.values);
      expect(guardsIntact()).toBe(true);
    }
  });

  it('zeroFill: clears the range and nothing else', () => {
    const { kernels, planes, range, guardsIntact } = fixture(5, 33);
    kernels.zeroFill(planes[2].address, 33 * 4);
    expect(range(2).every((value) => value === 0)).toBe(true);
    expect(guardsIntact()).toBe(true);
  });
});
