import type { DType } from '../tensor/dtype.ts';
import { DualrealError, ShapeError } from '../tensor/errors.ts';
import { floats, type HostTensor } from '../tensor/host-tensor.ts';
import { formatShape, type Shape } from '../tensor/shape.ts';
import type { OnnxEmitter } from './onnx-emitter.ts';

/** What is known of a symbolic value before anything runs. */
export interface ValueType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** One result of a node: a symbolic tensor of static shape. */
export interface Value extends ValueType {
  readonly node: Node;
  /** Which of the node's outputs this is. */
  readonly index: number;
}

/** One application of an op. Nodes form a directed acyclic graph through their inputs. */
export interface Node {
  /** Creation order; inputs always have smaller ids. */
  readonly id: number;
  readonly op: Op;
  readonly inputs: readonly Value[];
  readonly attributes: object;
  readonly outputs: readonly Value[];
  /** The checkpoint region that contains the node, if any (see checkpoint.ts). */
  readonly region: object | undefined;
}

/** What a backward rule is given. A gradient is undefined where nothing flows back into that output. */
export interface BackwardContext<A> {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attributes: A;
  readonly gradients: readonly (Value | undefined)[];
  /** needs[i]: whether the gradient for input i is wanted; rules skip work for the others. */
  readonly needs: readonly boolean[];
}

export interface EmitContext<A> {
  readonly attributes: A;
  /** Names in the ONNX graph; an empty output name means that nobody uses that output. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly inputTypes: readonly ValueType[];
  readonly outputTypes: readonly ValueType[];
}

/** The whole of an op in one record: shape and dtype rule, backward rule, ONNX form. */
export interface Op<A extends object = object> {
  readonly name: string;
  /** Result types; throws {@link ShapeError} for operands that do not fit. */
  infer(inputs: readonly ValueType[], attributes: A): readonly ValueType[];
  /** Gradients for each input; absent for ops that nothing can be differentiated through. */
  backward?(context: BackwardContext<A>): readonly (Value | undefined)[];
  emit(emitter: OnnxEmitter, context: EmitContext<A>): void;
}

const registry = new Map<string, Op>();

/** Registers an op; every op of the project passes through here exactly once. */
export function defineOp<A extends object>(op: Op<A>): Op<A> {
  if (registry.has(op.name)) throw new Error(`op ${op.name} is defined twice`);
  registry.set(op.name, op);
  return op;
}

export function allOps(): readonly Op[] {
  return [...registry.values()];
}

let nextId = 0;

/** The id that the next node will get; nodes with smaller ids exist already. */
export function tracePosition(): number {
  return nextId;
}

let currentRegion: object | undefined;

/** Runs `trace` with every node it creates marked as part of `region`, or of the region around it. */
export function withRegion<T>(region: object, trace: () => T): T {
  const outer = currentRegion;
  currentRegion = outer ?? region;
  try {
    return trace();
  } finally {
    currentRegion = outer;
  }
}

/** Adds a node to the graph and returns its outputs. */
export function applyAll<A extends object>(
  op: Op<A>,
  inputs: readonly Value[],
  attributes: A,
): readonly Value[] {
  const types = op.infer(inputs, attributes);
  const outputs: Value[] = [];
  const node: Node = { id: nextId++, op, inputs, attributes, outputs, region: currentRegion };
  for (const [index, type] of types.entries()) {
    outputs.push({ node, index, dtype: type.dtype, shape: type.shape });
  }
  return outputs;
}

/** {@link applyAll} for ops with one output. */
export function apply<A extends object>(op: Op<A>, inputs: readonly Value[], attributes: A): Value {
  return applyAll(op, inputs, attributes)[0];
}

export interface LeafAttributes {
  readonly name: string;
  readonly type: ValueType;
}

const leafRule = {
  infer: (_inputs: readonly ValueType[], attributes: LeafAttributes) => [attributes.type],
  emit: () => {
    throw new Error('leaves are declared by the ONNX writer');
  },
};

/** A tensor fed at every run. */
export const inputOp = defineOp<LeafAttributes>({ name: 'input', ...leafRule });
/** A frozen tensor bound by name when the program is compiled (see runtime/weights). */
export const weightOp = defineOp<LeafAttributes>({ name: 'weight', ...leafRule });

export interface ConstantAttributes {
  readonly tensor: HostTensor;
}

/** A tensor written into the program. */
export const constantOp = defineOp<ConstantAttributes>({
  name: 'constant',
  infer: (_inputs, { tensor }) => [{ dtype: tensor.dtype, shape: tensor.shape }],
  emit: leafRule.emit,
});

export function input(name: string, shape: Shape, dtype: DType = 'f32'): Value {
  return apply(inputOp, [], { name, type: { dtype, shape } });
}

export function weight(name: string, shape: Shape, dtype: DType = 'f32'): Value {
  return apply(weightOp, [], { name, type: { dtype, shape } });
}

export function constant(tensor: HostTensor): Value {
  return apply(constantOp, [], { tensor });
}

/** A value as it is, a number as an f32 scalar constant. */
export function toValue(operand: Value | number): Value {
  return typeof operand === 'number' ? constant(floats([], [operand])) : operand;
}

export function isLeaf(node: Node): boolean {
  return node.op === inputOp || node.op === weightOp || node.op === constantOp;
}

/** A value was to be differentiated through something that has no backward rule. */
export class NotDifferentiableError extends DualrealError {}

/** Throws {@link ShapeError} unless `condition` holds. Operands that were not given are undefined. */
export function requireShape(
  condition: boolean,
  op: string,
  expected: string,
  ...operands: (ValueType | undefined)[]
): void {
  if (condition) return;
  const got = operands.filter((type) => type !== undefined);
  const types = got.map((type) => `${type.dtype}${formatShape(type.shape)}`).join(', ');
  throw new ShapeError({ where: `op ${op}`, expected, got: types });
}
