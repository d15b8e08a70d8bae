import type { FloatsOptions, OpCases, OpSample, Sampler } from '../op-sampler.cases.ts';
import { oneOutput } from '../op-sampler.cases.ts';
import { elementwise, erf, sigmoid } from '../reference.cases.ts';
import type { Value } from '../value.ts';
import * as g from './index.ts';

type Generator = (sampler: Sampler) => OpSample;

function unary(op: (x: Value) => Value, f: (x: number) => number, options: FloatsOptions = {}): Generator {
  return (sampler) => {
    const x = sampler.floats(sampler.shape(sampler.index % 5), options);
    return oneOutput(op(x.value), elementwise(f, x));
  };
}

function binary(
  op: (a: Value, b: Value) => Value,
  f: (a: number, b: number) => number,
  divisor: FloatsOptions = {},
): Generator {
  return (sampler) => {
    const [left, right] = sampler.broadcastShapes(2);
    const a = sampler.floats(left);
    const b = sampler.floats(right, divisor);
    return oneOutput(op(a.value, b.value), elementwise(f, a, b));
  };
}

/** Operands that never come near a tie: one of even, one of odd multiples of 0.2. */
function ordered(op: (a: Value, b: Value) => Value, f: (a: number, b: number) => number): Generator {
  return (sampler) => {
    const [left, right] = sampler.broadcastShapes(2);
    const a = sampler.distinct(left, 0.4);
    const b = sampler.distinct(right, 0.4);
    const shifted = g.add(b.value, 0.2);
    return oneOutput(
      op(a.value, shifted),
      elementwise((x, y) => f(x, y + 0.2), a, b),
    );
  };
}

const awayFromZero: FloatsOptions = { kinks: [0] };
const positive: FloatsOptions = { low: 0.4, high: 3 };

export const cases: OpCases = {
  add: binary(g.add, (a, b) => a + b),
  sub: binary(g.sub, (a, b) => a - b),
  mul: (sampler) => {
    if (sampler.index !== 2) return binary(g.mul, (a, b) => a * b)(sampler);
    const x = sampler.floats(sampler.shape(3));
    return oneOutput(
      g.mul(x.value, x.value),
      elementwise((value) => value * value, x),
    );
  },
  div: binary(g.div, (a, b) => a / b, { kinks: [0], margin: 0.5 }),
  maximum: ordered(g.maximum, Math.max),
  minimum: ordered(g.minimum, Math.min),
  greaterOrEqual: ordered(g.greaterOrEqual, (a, b) => (a >= b ? 1 : 0)),
  less: ordered(g.less, (a, b) => (a < b ? 1 : 0)),
  equal: (sampler) => {
    const [left, right] = sampler.broadcastShapes(2);
    const a = sampler.floats(left, { low: 0, high: 2 });
    const b = sampler.floats(right, { low: 0, high: 2 });
    const [x, y] = [g.floor(a.value), g.floor(b.value)];
    return oneOutput(
      g.equal(x, y),
      elementwise((p, q) => (Math.floor(p) === Math.floor(q) ? 1 : 0), a, b),
    );
  },
  neg: unary(g.neg, (x) => -x),
  exp: unary(g.exp, Math.exp),
  log: unary(g.log, Math.log, positive),
  sqrt: unary(g.sqrt, Math.sqrt, positive),
  reciprocal: unary(g.reciprocal, (x) => 1 / x, { kinks: [0], margin: 0.5 }),
  tanh: unary(g.tanh, Math.tanh),
  sigmoid: unary(g.sigmoid, sigmoid),
  erf: unary(g.erf, erf),
  abs: unary(g.abs, Math.abs, awayFromZero),
  sign: unary(g.sign, Math.sign, awayFromZero),
  floor: unary(g.floor, Math.floor, { kinks: [-2, -1, 0, 1, 2] }),
  sin: unary(g.sin, Math.sin),
  cos: unary(g.cos, Math.cos),
  relu: unary(g.relu, (x) => Math.max(0, x), awayFromZero),
  where: (sampler) => {
    const [first, second, third] = sampler.broadcastShapes(3);
    const condition = sampler.booleans(first);
    const a = sampler.floats(second);
    const b = sampler.floats(third);
    return oneOutput(
      g.where(condition.value, a.value, b.value),
      elementwise((c, x, y) => (c ? x : y), condition, a, b),
    );
  },
  barrier: (sampler) => {
    const x = sampler.floats(sampler.shape(sampler.index % 4));
    const dependency = sampler.floats(sampler.shape((sampler.index + 1) % 3), { fixed: true });
    return oneOutput(g.barrier(x.value, dependency.value), x);
  },
};
