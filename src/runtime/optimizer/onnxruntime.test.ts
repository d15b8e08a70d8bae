import { create, toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, TensorProto_DataType } from 'onnx-buf';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { ParameterArena } from './parameter-arena.ts';

/** y = x + x over a vector. */
function doublingModel(): Uint8Array {
  const type = (length: number) => ({
    value: {
      case: 'tensorType' as const,
      value: {
        elemType: TensorProto_DataType.FLOAT,
        shape: { dim: [{ value: { case: 'dimValue' as const, value: BigInt(length) } }] },
      },
    },
  });
  const model = create(ModelProtoSchema, {
    irVersion: 10n,
    opsetImport: [{ domain: '', version: 20n }],
    graph: {
      name: 'doubling',
      node: [{ opType: 'Add', input: ['x', 'x'], output: ['y'] }],
      input: [{ name: 'x', type: type(37) }],
      output: [{ name: 'y', type: type(37) }],
    },
  });
  return toBinary(ModelProtoSchema, model);
}

/** Runs the model from a parameter view into a gradient view. */
async function doubleInto(arena: ParameterArena, name: string): Promise<void> {
  const session = await InferenceSession.create(doublingModel(), { graphOptimizationLevel: 'basic' });
  const x = new Tensor('float32', arena.parameterOf(name), [37]);
  const y = new Tensor('float32', arena.gradientOf(name), [37]);
  const { y: fetched } = await session.run({ x }, { y });
  expect(fetched.data).toHaveLength(37);
  await session.release();
}

describe('arena views in onnxruntime', () => {
  it.each([
    ['at the start of the memory', 1],
    ['beyond 2 GiB', 2 ** 28 - 64],
  ])('are read as feeds and written as fetches in place: %s', async (_label, before) => {
    const arena = new ParameterArena([
      { name: 'before', shape: [before], group: 'all' },
      { name: 'w', shape: [37], group: 'all' },
    ]);
    const parameter = arena.parameterOf('w');
    const gradient = arena.gradientOf('w');
    parameter.set(Array.from({ length: 37 }, (_, i) => i + 0.25));
    await doubleInto(arena, 'w');
    expect([...gradient]).toEqual([...parameter].map((value) => 2 * value));
    expect(parameter[36]).toBe(36.25);

    parameter.fill(3);
    await doubleInto(arena, 'w');
    expect(new Set(gradient)).toEqual(new Set([6]));
  });
});
