import { afterAll, describe, expect, it } from 'vitest';
import { createRuntime } from '../runtime/runtime.ts';
import { ShapeError } from '../tensor/errors.ts';
import { type FloatTensor, floats, type HostTensor } from '../tensor/host-tensor.ts';
import { randomStream } from '../tensor/random.ts';
import { type Shape, sizeOf } from '../tensor/shape.ts';
import * as g from './index.ts';
import type { Value } from './value.ts';

const runtime = createRuntime({ inline: true, threads: 1 });
afterAll(() => runtime.close());

async function run(outputs: Record<string, Value>, feeds: Record<string, HostTensor>) {
  const executable = await runtime.compile(g.program('test', outputs));
  return (await executable.run(feeds)) as Record<string, FloatTensor>;
}

function random(name: string, shape: Shape): FloatTensor {
  return floats(shape, randomStream(3, name).normals(sizeOf(shape)));
}

/** How often each op occurs in what `outputs` need. */
function census(outputs: Record<string, Value>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { op } of g.program('census', outputs).nodes) counts[op.name] = (counts[op.name] ?? 0) + 1;
  return counts;
}

describe('gradients', () => {
  it('has none for a value that the loss does not depend on', () => {
    const x = g.input('x', [2]);
    const unrelated = g.input('unrelated', [2]);
    const late = g.mul(x, 2);
    const [dx, dUnrelated, dLate] = g.gradients(g.sum(g.square(x)), [x, unrelated, late]);
    expect(dx?.shape).toEqual([2]);
    expect(dUnrelated).toBeUndefined();
    expect(dLate).toBeUndefined();
  });

  it('adds up what comes back through every use', async () => {
    const x = g.input('x', [3]);
    const shared = g.sin(x);
    const loss = g.sum(g.add(g.mul(shared, shared), g.mul(g.mul(x, shared), 3)));
    const [dx] = g.gradients(loss, [x]);
    const values = [0.3, -1.2, 2];
    const { dx: actual } = await run({ dx: dx! }, { x: floats([3], values) });
    for (const [i, v] of values.entries()) {
      const expected = 2 * Math.sin(v) * Math.cos(v) + 3 * (Math.sin(v) + v * Math.cos(v));
      expect(actual.data[i]).toBeCloseTo(expected, 5);
    }
  });

  it('takes intermediate values, the loss itself and the same target twice', async () => {
    const x = g.input('x', [2]);
    const middle = g.mul(x, 3);
    const loss = g.sum(g.square(middle));
    const [dx, dMiddle, dLoss, again] = g.gradients(loss, [x, middle, loss, x]);
    expect(again).toBe(dx);
    const results = await run({ dx: dx!, dMiddle: dMiddle!, dLoss: dLoss! }, { x: floats([2], [1, -2]) });
    expect([...results.dMiddle.data]).toEqual([6, -12]);
    expect([...results.dx.data]).toEqual([18, -36]);
    expect(results.dLoss).toEqual(floats([], [1]));
  });

  it('can be differentiated again', async () => {
    const x = g.input('x', [3]);
    const [first] = g.gradients(g.sum(g.mul(g.square(x), x)), [x]);
    const [second] = g.gradients(g.sum(first!), [x]);
    const { second: actual } = await run({ second: second! }, { x: floats([3], [1, 2, -1]) });
    expect([...actual.data]).toEqual([6, 12, -6]);
  });

  it('reaches through one result of an op that has two', async () => {
    const [q, k, v] = ['q', 'k', 'v'].map((name) => g.input(name, [1, 1, 2, 2]));
    const [, weights] = g.attentionWithWeights(q, k, v, { scale: 1 });
    const [dq, dv] = g.gradients(g.sum(g.square(weights)), [q, v]);
    expect(dv).toBeUndefined();
    const feeds = Object.fromEntries(['q', 'k', 'v'].map((name) => [name, random(name, [1, 1, 2, 2])]));
    const plain = g.softmax(g.matmul(q, k, { transposeB: true }));
    const [expected] = g.gradients(g.sum(g.square(plain)), [q]);
    const results = await run({ dq: dq!, expected: expected! }, feeds);
    for (const [i, value] of results.expected.data.entries()) {
      expect(results.dq.data[i]).toBeCloseTo(value, 5);
    }
  });

  it('wants a scalar', () => {
    const x = g.input('x', [2, 1]);
    expect(() => g.gradients(g.neg(x), [x])).toThrow(/a scalar loss, got shape \[2,1\]/);
  });

  it('names the op that has no backward rule', () => {
    const x = g.input('x', [2]);
    expect(() => g.gradients(g.sum(g.floor(x)), [x])).toThrow(g.NotDifferentiableError);
    expect(() => g.gradients(g.sum(g.floor(x)), [x])).toThrow(/op floor/);
    const angles = g.input('angles', [3, 1]);
    const turned = g.rotary(g.input('y', [1, 3, 2]), g.cos(angles), g.sin(angles));
    expect(() => g.gradients(g.sum(turned), [angles])).toThrow(/op rotary/);
  });

  it('lets ops without a backward rule stand beside the path', () => {
    const x = g.input('x', [2]);
    const masked = g.where(g.less(x, 0), g.mul(x, 0.1), x);
    expect(g.gradients(g.sum(masked), [x])[0]?.shape).toEqual([2]);
  });
});

describe('the work of a gradient', () => {
  const frozen = (name: string, shape: Shape) => g.weight(name, shape);

  it('skips the weights of frozen layers and everything below the lowest target', () => {
    const x = g.input('x', [5, 4]);
    const below = g.gelu(g.linear(x, frozen('below', [4, 4])));
    const trained = g.input('trained', [4, 4]);
    const above = g.linear(g.gelu(g.linear(below, trained)), frozen('above', [4, 4]));
    const loss = g.sum(above);
    const [gradient] = g.gradients(loss, [trained]);
    // Forward: two below `above`. Backward: through `above`, then into `trained`.
    expect(census({ gradient: gradient! }).gemm).toBe(2 + 2);
    expect(census({ gradient: gradient! }).gelu).toBe(1);
  });

  it('is shared between targets', () => {
    const x = g.input('x', [5, 4]);
    const weights = ['a', 'b', 'c'].map((name) => g.input(name, [4, 4]));
    let y = x;
    for (const weight of weights) y = g.linear(y, weight);
    const found = g.gradients(g.sum(y), weights);
    const outputs = Object.fromEntries(found.map((gradient, i) => [`d${i}`, gradient!]));
    // Forward without the last product, one dX for each of two layers, one dW for each of three.
    expect(census(outputs).gemm).toBe(2 + 2 + 3);
  });

  it('accumulates through the addend of a matrix product', async () => {
    const x = g.input('x', [2, 3, 4]);
    const parts = ['q', 'k', 'v'].map((name) => g.linear(x, g.input(name, [4, 4])));
    const loss = g.sum(g.mul(g.mul(parts[0], parts[1]), parts[2]));
    const [dx] = g.gradients(loss, [x]);
    const nodes = g.program('qkv', { dx: dx! }).nodes.filter(({ op }) => op.name === 'gemm');
    expect(nodes.filter(({ inputs }) => inputs.length === 3)).toHaveLength(2);
    expect(census({ dx: dx! }).add).toBeUndefined();

    // The same sum without gemm: products over a batch axis of 1 are added one by one.
    const plain = ['q', 'k', 'v'].map((name) =>
      g.matmul(x, g.reshape(g.input(name, [4, 4]), [1, 4, 4]), { transposeB: true }),
    );
    const [expected] = g.gradients(g.sum(g.mul(g.mul(plain[0], plain[1]), plain[2])), [x]);
    const names = ['x', 'q', 'k', 'v'];
    const shapes = [[2, 3, 4], ...new Array<number[]>(3).fill([4, 4])];
    const feeds = Object.fromEntries(names.map((name, i) => [name, random(name, shapes[i])]));
    const [actual, wanted] = await Promise.all([
      run({ dx: dx! }, feeds),
      run({ expected: expected! }, feeds),
    ]);
    for (const [i, value] of wanted.expected.data.entries()) expect(actual.dx.data[i]).toBeCloseTo(value, 4);
  });

  it('does not repeat a product that others use only to add to it', () => {
    const x = g.input('x', [5, 4]);
    // x is used by `early` first, so its gradient starts with what comes through `other` below.
    const early = g.add(x, g.gelu(g.linear(x, g.input('inner', [4, 4]))));
    const other = g.gelu(x);
    const loss = g.sum(g.add(g.linear(early, g.input('outer', [4, 4])), other));
    const [dx] = g.gradients(loss, [x]);
    // Forward `inner`; dX through `outer` once, although two gradients start from it, and through `inner`.
    expect(census({ dx: dx! }).gemm).toBe(1 + 2);
  });

  it('keeps a product that is itself asked for', () => {
    const x = g.input('x', [5, 4]);
    const flat = g.reshape(x, [20, 1]);
    const loss = g.add(g.sum(g.square(g.gemm(flat, g.input('w', [1, 3])))), g.sum(g.gelu(x)));
    const [dx, dFlat] = g.gradients(loss, [x, flat]);
    expect(census({ dx: dx!, dFlat: dFlat! }).gemm).toBe(2);
    const [alone] = g.gradients(loss, [x]);
    expect(census({ alone: alone! }).gemm).toBe(2);
  });

  it('takes a scaled gradient in as a scaled addend', async () => {
    const feeds = { x: random('x', [2, 3, 4]), w: random('w', [4, 4]) };
    const [x, w] = [g.input('x', [2, 3, 4]), g.input('w', [4, 4])];
    const loss = g.sum(g.sin(g.add(g.linear(x, w), g.mul(x, 0.25))));
    const [dx] = g.gradients(loss, [x]);
    const plain = g.cos(g.add(g.linear(x, w), g.mul(x, 0.25)));
    const byHand = g.add(g.matmul(plain, w), g.mul(plain, 0.25));
    const results = await run({ dx: dx!, byHand }, feeds);
    expect(results.dx.data.every((value, i) => Math.abs(value - results.byHand.data[i]) < 1e-6)).toBe(true);
    const text = g.printProgram(g.program('scaled', { dx: dx! }));
    expect(text).toContain('addendScale=0.25');
    // One addition and one scaling in the loss itself, none on the way back.
    expect(census({ dx: dx! })).toMatchObject({ add: 1, mul: 2 });
  });

  it('computes only the wanted part of the gradient of concatenated weights', async () => {
    const feeds = { x: random('x', [5, 4]), a: random('a', [3, 4]), b: random('b', [2, 4]) };
    const [x, a, b] = [g.input('x', [5, 4]), g.input('a', [3, 4]), g.input('b', [2, 4])];
    const loss = g.sum(g.sin(g.gemm(x, g.concat([a, b], 0), { transposeB: true })));
    const [da, db] = g.gradients(loss, [a, b]);
    const [alone] = g.gradients(loss, [b]);
    const results = await run({ da: da!, db: db!, alone: alone! }, feeds);
    expect(results.alone).toEqual(results.db);
    expect(results.da.shape).toEqual([3, 4]);
    const product = g.program('alone', { alone: alone! }).nodes.at(-1)!;
    expect(product.op.name).toBe('gemm');
    expect(product.outputs[0].shape).toEqual([2, 4]);
  });

  it('takes an addend into a linear layer, and hands its bias back', async () => {
    const feeds = {
      x: random('x', [5, 4]),
      w: random('w', [3, 4]),
      b: random('b', [3]),
      c: random('c', [5, 3]),
    };
    const [x, w, b] = [g.input('x', [5, 4]), g.input('w', [3, 4]), g.input('b', [3])];
    const c = g.input('c', [5, 3]);
    const { sum, bias } = g.addToLinear(g.linear(x, w, b), c);
    expect(bias).toBe(b);
    const other = g.addToLinear(g.sin(c), c);
    expect(other.bias).toBeUndefined();
    const expected = g.add(g.linear(x, w, b), c);
    const results = await run({ sum: g.add(sum, bias!), expected, other: other.sum }, feeds);
    for (const [i, value] of results.expected.data.entries()) {
      expect(results.sum.data[i]).toBeCloseTo(value, 5);
      expect(results.other.data[i]).toBeCloseTo(Math.sin(feeds.c.data[i]) + feeds.c.data[i], 5);
    }
  });

  it('does not expand what elementwise ops broadcast anyway', () => {
    const x = g.input('x', [5, 4]);
    const [dx] = g.gradients(g.mean(g.square(x)), [x]);
    expect(census({ dx: dx! }).expand).toBeUndefined();
  });
});

describe('shapes that do not fit', () => {
  const x = g.input('x', [2, 7]);

  it.each<[string, () => unknown]>([
    ['a chunk that does not divide', () => g.chunk(x, 1, 2)],
    ['a reshape that leaves a fraction', () => g.reshape(x, [4, -1])],
    ['a slice beyond the end', () => g.slice(x, 1, 3, 8)],
    ['an empty slice', () => g.slice(x, 1, 3, 3)],
    ['a negative margin', () => g.pad(x, 0, -1, 0)],
    ['operands that do not broadcast', () => g.add(x, g.input('y', [3, 7]))],
    ['different dtypes', () => g.add(x, g.input('y', [2, 7], 'i64'))],
    ['inner extents that differ', () => g.gemm(x, g.input('y', [2, 7]))],
    ['an axis that is not there', () => g.sum(x, [2])],
    ['an order that is no permutation', () => g.transpose(x, [0, 0])],
    ['row numbers that are not whole', () => g.gather(x, g.input('y', [3]))],
    [
      'an attention bias for other keys',
      () => {
        const q = g.input('q', [1, 1, 2, 3]);
        return g.attention(q, q, q, { bias: g.input('bias', [1, 1, 2, 3]) });
      },
    ],
    [
      'keys of another batch',
      () => g.attention(g.input('q', [2, 1, 2, 3]), g.input('k', [1, 1, 2, 3]), g.input('v', [1, 1, 2, 3])),
    ],
    [
      'tables of other sizes',
      () => g.rotary(g.input('z', [1, 3, 4]), g.input('c', [3, 2]), g.input('s', [2, 2])),
    ],
  ])('%s', (_what, trace) => {
    expect(trace).toThrow(ShapeError);
  });
});
