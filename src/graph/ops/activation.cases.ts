import type { OpCases, OpSample, Sampler } from '../op-sampler.cases.ts';
import { oneOutput } from '../op-sampler.cases.ts';
import { elementwise, erf, sigmoid } from '../reference.cases.ts';
import type { Value } from '../value.ts';
import * as g from './index.ts';

function activation(op: (x: Value) => Value, f: (x: number) => number) {
  return (sampler: Sampler): OpSample => {
    const x = sampler.floats(sampler.shape(1 + (sampler.index % 3), 7), { low: -4, high: 4 });
    return oneOutput(op(x.value), elementwise(f, x));
  };
}

const geluTanh = (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

export const cases: OpCases = {
  geluTanh: activation(g.geluTanh, geluTanh),
  gelu: activation(g.gelu, (x) => 0.5 * x * (1 + erf(x / Math.SQRT2))),
  quickGelu: (sampler) => {
    const [op, alpha] = sampler.index % 2 === 0 ? [g.quickGelu, 1.702] : [g.silu, 1];
    return activation(op, (x) => x * sigmoid(alpha * x))(sampler);
  },
};
