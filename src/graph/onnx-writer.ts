import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import {
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataLocation as DataLocation,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from 'onnx-buf';
import { bytesOf, type DType } from '../tensor/dtype.ts';
import { DualrealError } from '../tensor/errors.ts';
import { floats, type HostTensor, hostTensor, integers } from '../tensor/host-tensor.ts';
import { formatShape, type Shape, sameShape } from '../tensor/shape.ts';
import { type EmitTarget, ONNX_DTYPE, type OnnxAttribute, type OnnxEmitter } from './onnx-emitter.ts';
import { executionOrder, type Program } from './program.ts';
import { type ConstantAttributes, constantOp, type Value, type ValueType } from './value.ts';

/** Where a weight's bytes are: a region of a file (referenced, never copied) or host memory. */
export type WeightLocation =
  | {
      readonly kind: 'file';
      /** Path relative to the folder that the runtime names to onnxruntime. */
      readonly location: string;
      readonly byteOffset: number;
      readonly byteLength: number;
      readonly dtype: DType;
      readonly shape: Shape;
    }
  | { readonly kind: 'host'; readonly tensor: HostTensor };

export interface WriteOptions {
  readonly target: EmitTarget;
  readonly weights: ReadonlyMap<string, WeightLocation>;
}

const OPSET = 21;
const IR_VERSION = 10n;

/** Writes a program as an ONNX model. Weights stay where they are; a narrower stored dtype gets a Cast. */
export function writeOnnx(traced: Program, options: WriteOptions): Uint8Array {
  const writer = new GraphWriter(options.target);
  for (const [name, value] of traced.inputs) writer.graph.input.push(valueInfo(name, value));
  for (const [name, value] of traced.inputs) writer.names.set(value, name);
  for (const [name, value] of traced.weights) writer.weight(name, value, options.weights.get(name));

  const used = new Set<Value>(traced.outputs.values());
  for (const node of traced.nodes) for (const operand of node.inputs) used.add(operand);
  // A value is computed under its output's name, since copying it there would cost a pass; one that is an
  // output twice, or a leaf, has to be copied.
  for (const [name, value] of traced.outputs) {
    if (!writer.names.has(value) && value.node.op !== constantOp) writer.names.set(value, name);
  }
  for (const node of executionOrder(traced)) {
    if (node.op === constantOp) {
      writer.names.set(node.outputs[0], writer.constant((node.attributes as ConstantAttributes).tensor));
      continue;
    }
    node.op.emit(writer, {
      attributes: node.attributes,
      inputs: node.inputs.map((operand) => writer.names.get(operand)!),
      outputs: node.outputs.map((output) =>
        used.has(output) || output.index === 0 ? writer.nameOf(output) : '',
      ),
      inputTypes: node.inputs,
      outputTypes: node.outputs,
    });
  }
  for (const [name, value] of traced.outputs) {
    const source = writer.names.get(value)!;
    if (source !== name) writer.node('Identity', [source], [name]);
    writer.graph.output.push(valueInfo(name, value));
  }
  const model = create(ModelProtoSchema, {
    irVersion: IR_VERSION,
    producerName: 'dualreal',
    opsetImport: [
      create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(OPSET) }),
      create(OperatorSetIdProtoSchema, { domain: 'com.microsoft', version: 1n }),
      ...(options.target.blockedChannels === undefined
        ? []
        : [create(OperatorSetIdProtoSchema, { domain: 'com.microsoft.nchwc', version: 1n })]),
    ],
  });
  const graph = [
    ...writer.nodes.flatMap((node) => field(GraphProtoSchema.field.node.number, [node])),
    toBinary(GraphProtoSchema, writer.graph),
  ];
  return joined([toBinary(ModelProtoSchema, model), ...field(ModelProtoSchema.field.graph.number, graph)]);
}

/** A message field of the given parts, as it stands in the message around it. */
function field(number: number, parts: readonly Uint8Array[]): Uint8Array[] {
  const length = parts.reduce((sum, part) => sum + part.byteLength, 0);
  return [new BinaryWriter().tag(number, WireType.LengthDelimited).uint32(length).finish(), ...parts];
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let position = 0;
  for (const part of parts) {
    whole.set(part, position);
    position += part.byteLength;
  }
  return whole;
}

class GraphWriter implements OnnxEmitter {
  readonly target: EmitTarget;
  /** All but the nodes. */
  readonly graph: GraphProto = create(GraphProtoSchema, { name: 'dualreal' });
  /** Encoded one by one: as objects, the thousands of nodes of a training step would take tens of MB. */
  readonly nodes: Uint8Array[] = [];
  readonly names = new Map<Value, string>();
  private readonly constants = new Map<string, string>();
  private next = 0;

  constructor(target: EmitTarget) {
    this.target = target;
  }

  nameOf(value: Value): string {
    const known = this.names.get(value);
    if (known) return known;
    const fresh = this.freshName();
    this.names.set(value, fresh);
    return fresh;
  }

  /** program() refuses names of this form, so that nothing traced can carry it. */
  private freshName(): string {
    return `%${this.next++}`;
  }

  node(
    type: string,
    inputs: readonly string[],
    outputs: readonly string[] | number,
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
    domain = '',
  ): readonly string[] {
    const results =
      typeof outputs === 'number' ? Array.from({ length: outputs }, () => this.freshName()) : [...outputs];
    while (results.at(-1) === '') results.pop();
    const node = create(NodeProtoSchema, {
      opType: type,
      name: `n${this.nodes.length}_${type}`,
      domain,
      input: [...inputs],
      output: results,
      attribute: Object.entries(attributes).map(([name, value]) => attributeProto(name, value)),
    });
    this.nodes.push(toBinary(NodeProtoSchema, node));
    return results;
  }

  constant(tensor: HostTensor): string {
    const bytes = bytesOf(tensor.data);
    const small = bytes.length <= 4096;
    const key = `${tensor.dtype}${formatShape(tensor.shape)}${Buffer.from(bytes.buffer, bytes.byteOffset, small ? bytes.length : 0).toString('latin1')}`;
    const known = small ? this.constants.get(key) : undefined;
    if (known) return known;
    const name = this.freshName();
    if (small) this.constants.set(key, name);
    this.graph.initializer.push(tensorProto(name, tensor));
    return name;
  }

  scalar(value: number): string {
    return this.constant(floats([], [value]));
  }

  integers(values: readonly number[]): string {
    return this.constant(integers([values.length], values));
  }

  weight(name: string, value: Value, location: WeightLocation | undefined): void {
    if (!location) {
      throw new DualrealError({ where: `weight ${name}`, expected: 'a bound tensor', got: 'none' });
    }
    const stored: ValueType = location.kind === 'file' ? location : location.tensor;
    if (!sameShape(stored.shape, value.shape)) {
      throw new DualrealError({
        where: `weight ${name}`,
        expected: formatShape(value.shape),
        got: formatShape(stored.shape),
      });
    }
    if (location.kind === 'host') this.graph.initializer.push(tensorProto(name, location.tensor));
    else this.graph.initializer.push(externalTensorProto(name, location));
    this.names.set(
      value,
      stored.dtype === value.dtype ? name : this.node('Cast', [name], 1, { to: ONNX_DTYPE[value.dtype] })[0],
    );
  }
}

function valueInfo(name: string, { dtype, shape }: ValueType): ValueInfoProto {
  const dim = shape.map((extent) =>
    create(TensorShapeProto_DimensionSchema, { value: { case: 'dimValue', value: BigInt(extent) } }),
  );
  const tensor = create(TypeProto_TensorSchema, {
    elemType: ONNX_DTYPE[dtype],
    shape: create(TensorShapeProtoSchema, { dim }),
  });
  const type = create(TypeProtoSchema, { value: { case: 'tensorType', value: tensor } });
  return create(ValueInfoProtoSchema, { name, type });
}

function tensorProto(name: string, tensor: HostTensor): TensorProto {
  const { dtype, shape, data } = hostTensor(tensor.dtype, tensor.shape, tensor.data);
  const bytes = bytesOf(data) as Uint8Array<ArrayBuffer>;
  return create(TensorProtoSchema, {
    name,
    dataType: ONNX_DTYPE[dtype],
    dims: shape.map(BigInt),
    rawData: bytes,
  });
}

function externalTensorProto(name: string, file: Extract<WeightLocation, { kind: 'file' }>): TensorProto {
  const entry = (key: string, value: string | number) =>
    create(StringStringEntryProtoSchema, { key, value: String(value) });
  return create(TensorProtoSchema, {
    name,
    dataType: ONNX_DTYPE[file.dtype],
    dims: file.shape.map(BigInt),
    dataLocation: DataLocation.EXTERNAL,
    externalData: [
      entry('location', file.location),
      entry('offset', file.byteOffset),
      entry('length', file.byteLength),
    ],
  });
}

function attributeProto(name: string, value: OnnxAttribute) {
  if (typeof value === 'string') {
    return create(AttributeProtoSchema, {
      name,
      type: AttributeType.STRING,
      s: new TextEncoder().encode(value),
    });
  }
  if (typeof value === 'number' || typeof value === 'bigint') {
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  }
  if ('float' in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float });
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) });
}
