import { type OpCases, oneOutput } from '../op-sampler.cases.ts';
import { at, build, elementwise, type NdArray, reduce } from '../reference.cases.ts';
import * as g from './index.ts';

export function softmaxReference(x: NdArray): NdArray {
  const last = x.shape.length - 1;
  const total = reduce(x, [last], true, (row) => row.reduce((sum, value) => sum + Math.exp(value), 0));
  return build(x.shape, (index) => Math.exp(at(x, index)) / at(total, index));
}

function normalized(x: NdArray, epsilon: number): NdArray {
  const last = x.shape.length - 1;
  const average = (row: number[]) => row.reduce((sum, value) => sum + value, 0) / row.length;
  const mean = reduce(x, [last], true, average);
  const variance = reduce(x, [last], true, (row) => average(row.map((value) => (value - average(row)) ** 2)));
  return build(
    x.shape,
    (index) => (at(x, index) - at(mean, index)) / Math.sqrt(at(variance, index) + epsilon),
  );
}

export const cases: OpCases = {
  normalize: (sampler) => {
    const epsilon = sampler.variant([1e-6, 0.1, 1e-5]);
    const x = sampler.floats([...sampler.shape(sampler.index % 4), 3 + sampler.random.integer(9)]);
    return oneOutput(g.normalize(x.value, epsilon), normalized(x, epsilon));
  },
  layerNorm: (sampler) => {
    const epsilon = sampler.variant([1e-6, 0.1, 1e-5]);
    const width = 3 + sampler.random.integer(9);
    const x = sampler.floats([...sampler.shape(sampler.index % 4), width]);
    const [gain, shift] = [sampler.floats([width]), sampler.floats([width])];
    const expected = elementwise(
      (y, scale, offset) => y * scale + offset,
      normalized(x, epsilon),
      gain,
      shift,
    );
    return oneOutput(g.layerNorm(x.value, gain.value, shift.value, epsilon), expected);
  },
  softmax: (sampler) => {
    const x = sampler.floats([...sampler.shape(sampler.index % 4), sampler.extent(9)], { low: -5, high: 5 });
    return oneOutput(g.softmax(x.value), softmaxReference(x));
  },
};
