import { fromBinary } from '@bufbuild/protobuf';
import { type ModelProto, ModelProtoSchema } from 'onnx-buf';
import { afterAll, describe, expect, it } from 'vitest';
import { createRuntime } from '../runtime/runtime.ts';
import { fromFloat32 } from '../tensor/dtype.ts';
import { floats, type HostTensor, hostTensor, integers } from '../tensor/host-tensor.ts';
import * as g from './index.ts';
import { type WeightLocation, writeOnnx } from './onnx-writer.ts';
import type { Program } from './program.ts';

const runtime = createRuntime({ inline: true, threads: 1 });
afterAll(() => runtime.close());

const x = g.input('x', [2]);
const fed = floats([2], [3, -4]);

function written(program: Program, weights: ReadonlyMap<string, WeightLocation> = new Map()): ModelProto {
  return fromBinary(ModelProtoSchema, writeOnnx(program, { target: { backend: 'cpu' }, weights }));
}

async function run(outputs: Record<string, g.Value>, feeds: Record<string, HostTensor>) {
  return (await runtime.compile(g.program('test', outputs))).run(feeds);
}

describe('outputs', () => {
  it('may be a value twice, an operand of another, an input or a constant', async () => {
    const y = g.neg(x);
    const outputs = { once: y, again: y, x, inner: g.exp(y), fixed: g.constant(integers([2], [5, 6])) };
    const results = await run(outputs, { x: fed });
    expect(results.once).toEqual(floats([2], [-3, 4]));
    expect(results.again).toEqual(results.once);
    expect(results.x).toEqual(fed);
    expect(results.fixed).toEqual(integers([2], [5, 6]));
    expect(results.inner.data[0]).toBeCloseTo(Math.exp(-3), 6);
  });

  it('are computed under their own names, without copies', () => {
    const { graph } = written(g.program('p', { y: g.exp(g.neg(x)) }));
    expect(graph!.node.map(({ opType }) => opType)).toEqual(['Neg', 'Exp']);
    expect(graph!.node[1].output).toEqual(['y']);
  });

  it('may be all results of one node, in any order', async () => {
    const [q, k, v] = ['q', 'k', 'v'].map((name) => g.input(name, [1, 1, 1, 2]));
    const [o, weights] = g.attentionWithWeights(q, k, v);
    const feeds = Object.fromEntries(['q', 'k', 'v'].map((name) => [name, floats([1, 1, 1, 2], [1, 2])]));
    const both = await run({ weights, o }, feeds);
    expect(both.weights).toEqual(floats([1, 1, 1, 1], [1]));
    expect(both.o).toEqual(floats([1, 1, 1, 2], [1, 2]));
    expect((await run({ weights }, feeds)).weights).toEqual(both.weights);
  });
});

describe('constants', () => {
  it('are written once where they are equal, and apart where only their bytes are', () => {
    const zeroAndOne = g.add(
      g.mul(g.add(x, 1), 1),
      g.cast(g.constant(hostTensor('i32', [], new Int32Array(1))), 'f32'),
    );
    const { graph } = written(g.program('p', { y: g.add(zeroAndOne, 0) }));
    expect(graph!.initializer).toHaveLength(3);
  });

  it('of every size reach the engine', async () => {
    const long = Float32Array.from({ length: 5000 }, (_, i) => i);
    const results = await run(
      { y: g.slice(g.constant(floats([5000], long)), 0, 4998, 5000), z: g.neg(x) },
      { x: fed },
    );
    expect(results.y).toEqual(floats([2], [4998, 4999]));
  });
});

describe('weights', () => {
  const program = g.program('p', { y: g.mul(x, g.weight('w', [2])) });

  it.each(['f32', 'f16', 'bf16'] as const)('in host memory as %s', async (dtype) => {
    const tensor = hostTensor(dtype, [2], fromFloat32(dtype, Float32Array.of(0.5, -1.25)) as never);
    const executable = await runtime.compile(program, { weights: new Map([['w', tensor]]) });
    expect((await executable.run({ x: fed })).y).toEqual(floats([2], [1.5, 5]));
  });

  it('are references where they lie in a file', () => {
    const location: WeightLocation = {
      kind: 'file',
      location: 'folder/model.safetensors',
      byteOffset: 1234,
      byteLength: 4,
      dtype: 'bf16',
      shape: [2],
    };
    const { graph } = written(program, new Map([['w', location]]));
    const weight = graph!.initializer.find(({ name }) => name === 'w')!;
    expect(weight.rawData).toHaveLength(0);
    expect(Object.fromEntries(weight.externalData.map(({ key, value }) => [key, value]))).toEqual({
      location: 'folder/model.safetensors',
      offset: '1234',
      length: '4',
    });
    expect(graph!.node.map(({ opType }) => opType)).toEqual(['Cast', 'Mul']);
  });

  it('that are missing or of another shape are named', () => {
    expect(() => written(program)).toThrow(/weight w: expected a bound tensor, got none/);
    const wrong = new Map([['w', { kind: 'host' as const, tensor: floats([1, 2], [0, 0]) }]]);
    expect(() => written(program, wrong)).toThrow(/weight w: expected \[2\], got \[1, 2\]/);
  });
});
