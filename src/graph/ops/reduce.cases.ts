import {
  type OpCases,
  type OpSample,
  oneOutput,
  type SampledLeaf,
  type Sampler,
} from '../op-sampler.cases.ts';
import { reduce } from '../reference.cases.ts';
import type { Value } from '../value.ts';
import * as g from './index.ts';

type Reduction = (x: Value, axes?: readonly number[], keepDims?: boolean) => Value;

function reduction(
  op: Reduction,
  f: (elements: number[]) => number,
  draw: (sampler: Sampler, shape: number[]) => SampledLeaf = (sampler, shape) => sampler.floats(shape),
) {
  return (sampler: Sampler): OpSample => {
    const x = draw(sampler, sampler.shape(1 + (sampler.index % 4)));
    const rank = x.shape.length;
    const keepDims = sampler.random.integer(2) === 1;
    const some = sampler.random.permutation(rank).slice(0, 1 + sampler.random.integer(rank));
    const all = sampler.index === 0;
    const axes = all ? x.shape.map((_, axis) => axis) : some;
    const given = all ? undefined : some.map((axis) => (sampler.random.integer(2) ? axis : axis - rank));
    return oneOutput(op(x.value, given, keepDims), reduce(x, axes, keepDims, f));
  };
}

const total = (elements: number[]) => elements.reduce((sum, value) => sum + value, 0);

export const cases: OpCases = {
  sum: reduction(g.sum, total),
  mean: reduction(g.mean, (elements) => total(elements) / elements.length),
  max: reduction(
    g.max,
    (elements) => Math.max(...elements),
    (sampler, shape) => sampler.distinct(shape),
  ),
};
