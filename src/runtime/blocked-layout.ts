import { create, toBinary } from '@bufbuild/protobuf';
import {
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from 'onnx-buf';
import * as ort from 'onnxruntime-node';

const DOMAIN = 'com.microsoft.nchwc';

/** One node that lays a [1, 4, 1, 1] image out in blocks: the result has one block of channels. */
function probeModel(): Uint8Array {
  const float = (dims: readonly number[] | undefined) => {
    const dim = dims?.map((extent) =>
      create(TensorShapeProto_DimensionSchema, { value: { case: 'dimValue', value: BigInt(extent) } }),
    );
    const shape = dim && create(TensorShapeProtoSchema, { dim });
    const tensor = create(TypeProto_TensorSchema, { elemType: 1, ...(shape && { shape }) });
    return create(TypeProtoSchema, { value: { case: 'tensorType', value: tensor } });
  };
  const graph = create(GraphProtoSchema, {
    name: 'probe',
    node: [create(NodeProtoSchema, { opType: 'ReorderInput', domain: DOMAIN, input: ['x'], output: ['y'] })],
    input: [create(ValueInfoProtoSchema, { name: 'x', type: float([1, 4, 1, 1]) })],
    output: [create(ValueInfoProtoSchema, { name: 'y', type: float(undefined) })],
  });
  const opsets = [
    create(OperatorSetIdProtoSchema, { domain: '', version: 21n }),
    create(OperatorSetIdProtoSchema, { domain: DOMAIN, version: 1n }),
  ];
  return toBinary(ModelProtoSchema, create(ModelProtoSchema, { irVersion: 10n, opsetImport: opsets, graph }));
}

/**
 * Channels per block of the layout that onnxruntime's fast CPU convolutions use on this machine (16 with
 * AVX-512, 8 with AVX2), found by trying; undefined where the machine or the build has no such layout.
 */
export async function findBlockedChannels(): Promise<number | undefined> {
  try {
    const session = await ort.InferenceSession.create(probeModel(), {
      executionProviders: ['cpu'],
      graphOptimizationLevel: 'disabled',
      intraOpNumThreads: 1,
      logSeverityLevel: 4,
    });
    const { y } = await session.run({ x: new ort.Tensor('float32', new Float32Array(4), [1, 4, 1, 1]) });
    await session.release();
    const block = y.dims[1];
    return block > 4 ? block : undefined;
  } catch {
    // Without the layout the node has no kernel: the plain convolutions do.
    return undefined;
  }
}
