import { DualrealError } from '../tensor/errors.ts';
import { floats } from '../tensor/host-tensor.ts';
import { sizeOf } from '../tensor/shape.ts';
import { recompute } from './checkpoint.ts';
import { add } from './ops/elementwise.ts';
import { type GemmAttributes, gemm, gemmOp } from './ops/matrix.ts';
import { reshape, reshapeOp, type SliceAttributes, slice, sliceOp } from './ops/shape.ts';
import {
  type ConstantAttributes,
  constant,
  constantOp,
  type Node,
  NotDifferentiableError,
  tracePosition,
  type Value,
} from './value.ts';

/**
 * Reverse-mode gradients of a scalar `loss` for each of `targets`, as new graph values. Only nodes that
 * lie on a path from a target to the loss are walked. A target that the loss does not depend on gives
 * undefined: upstream has no gradient there either, which is not the same as a zero one.
 */
export function gradients(loss: Value, targets: readonly Value[]): (Value | undefined)[] {
  if (sizeOf(loss.shape) !== 1) {
    throw new DualrealError({ where: 'gradients', expected: 'a scalar loss', got: `shape [${loss.shape}]` });
  }
  const dependent = nodesThatDependOn(loss.node, new Set(targets.map((target) => target.node)));
  const pending = new Map<Value, Value>([[loss, constant(floats(loss.shape, [1]))]]);
  /** How often a gradient was handed on unchanged, or is a result. */
  const holders = new Map<Value, number>();
  const hold = (gradient: Value) => holders.set(gradient, (holders.get(gradient) ?? 0) + 1);
  const replay = recompute();

  for (const node of [...dependent].sort((a, b) => b.id - a.id)) {
    const incoming = node.outputs.map((output) => pending.get(output));
    if (incoming.every((gradient) => gradient === undefined) || node.inputs.length === 0) continue;
    const needs = node.inputs.map((operand) => dependent.has(operand.node));
    if (!needs.includes(true)) continue;
    if (!node.op.backward) {
      throw new NotDifferentiableError({
        where: `gradient through op ${node.op.name}`,
        expected: 'a backward rule',
        got: 'none',
      });
    }
    const source = replay(node, incoming);
    const before = tracePosition();
    const results = node.op.backward({
      inputs: source.inputs,
      outputs: source.outputs,
      attributes: node.attributes,
      gradients: incoming,
      needs,
    });
    const contributions = needs.includes(false) ? results.map((x) => x && partOfProduct(x)) : results;
    for (const contribution of contributions) if (contribution) hold(contribution);
    // Nobody but this contribution uses a product that is new, or that reached this node alone and was
    // only reshaped by it.
    const isExclusive = (product: Value) =>
      product.node.id >= before ||
      (node.op === reshapeOp && holders.get(product) === 1 && !targets.includes(node.outputs[0]));
    for (const [i, contribution] of contributions.entries()) {
      if (!contribution || !needs[i]) continue;
      const operand = node.inputs[i];
      const sum = pending.get(operand);
      pending.set(operand, sum ? accumulate(sum, contribution, isExclusive) : contribution);
    }
  }
  return targets.map((target) => pending.get(target));
}

/** The nodes on some path from `targets` to `end`, both included. */
function nodesThatDependOn(end: Node, targets: ReadonlySet<Node>): Set<Node> {
  const dependent = new Set<Node>();
  const order: Node[] = [];
  const seen = new Set<Node>([end]);
  for (const stack = [end]; stack.length > 0; ) {
    const node = stack.pop()!;
    order.push(node);
    for (const operand of node.inputs) {
      if (seen.has(operand.node)) continue;
      seen.add(operand.node);
      stack.push(operand.node);
    }
  }
  // Inputs have smaller ids than their users, so one ascending pass settles every node.
  for (const node of order.sort((a, b) => a.id - b.id)) {
    if (targets.has(node) || node.inputs.some((operand) => dependent.has(operand.node))) dependent.add(node);
  }
  return dependent;
}

/** sum + contribution. A matrix product that nobody else uses takes `sum` as its addend, which saves a pass. */
function accumulate(sum: Value, contribution: Value, isExclusive: (product: Value) => boolean): Value {
  const product = contribution.node.op === reshapeOp ? contribution.node.inputs[0] : contribution;
  const { node } = product;
  if (node.op !== gemmOp || node.inputs.length !== 2 || !isExclusive(product)) return add(sum, contribution);
  const [a, b] = node.inputs;
  const { value, factor } = scalarMultiple(sum);
  const attributes = { ...(node.attributes as GemmAttributes), ...(factor !== 1 && { addendScale: factor }) };
  return reshape(gemm(a, b, attributes, reshape(value, product.shape)), contribution.shape);
}

/** A value, but for its shape, as a number times another value. */
function scalarMultiple(product: Value): { value: Value; factor: number } {
  const { op, inputs } = product.node.op === reshapeOp ? product.node.inputs[0].node : product.node;
  const factor = op.name === 'mul' ? inputs.find(isScalarConstant) : undefined;
  if (!factor) return { value: product, factor: 1 };
  const { tensor } = factor.node.attributes as ConstantAttributes;
  return { value: inputs[1 - inputs.indexOf(factor)], factor: Number(tensor.data[0]) };
}

function isScalarConstant({ node, shape }: Value): boolean {
  return node.op === constantOp && shape.length === 0;
}

/**
 * A part of a matrix product as the product of a part of its operand: what one of several concatenated
 * weights gets where the others learn nothing.
 */
function partOfProduct(contribution: Value): Value {
  const [whole] = contribution.node.inputs;
  if (contribution.node.op !== sliceOp || whole.node.op !== gemmOp || whole.node.inputs.length !== 2) {
    return contribution;
  }
  const { axis, start, stop, step } = contribution.node.attributes as SliceAttributes;
  const attributes = whole.node.attributes as GemmAttributes;
  const [a, b] = whole.node.inputs;
  if (axis === 0) return gemm(slice(a, attributes.transposeA ? 1 : 0, start, stop, step), b, attributes);
  return gemm(a, slice(b, attributes.transposeB ? 0 : 1, start, stop, step), attributes);
}
