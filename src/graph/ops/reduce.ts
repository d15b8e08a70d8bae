import { floats } from '../../tensor/host-tensor.ts';
import { normalizeAxis, type Shape, sameShape, sizeOf } from '../../tensor/shape.ts';
import { apply, defineOp, type Op, type Value } from '../value.ts';
import { div, equal, mul, where } from './elementwise.ts';
import { expand, reshape } from './shape.ts';

interface ReduceAttributes {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

function reducedShape(shape: Shape, { axes, keepDims }: ReduceAttributes): Shape {
  return keepDims
    ? shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent))
    : shape.filter((_, axis) => !axes.includes(axis));
}

function keptShape(shape: Shape, axes: readonly number[]): Shape {
  return reducedShape(shape, { axes, keepDims: true });
}

type EmitReduction = Op<ReduceAttributes>['emit'];

function reduction(
  name: string,
  onnxType: string,
  backward: (x: Value, y: Value, dy: Value, attributes: ReduceAttributes) => Value,
  emitFaster?: (...operands: Parameters<EmitReduction>) => boolean,
): (x: Value, axes?: readonly number[], keepDims?: boolean) => Value {
  const op = defineOp<ReduceAttributes>({
    name,
    infer: ([x], attributes) => [{ dtype: x.dtype, shape: reducedShape(x.shape, attributes) }],
    backward: ({ inputs, outputs, gradients, attributes }) => [
      backward(inputs[0], outputs[0], gradients[0]!, attributes),
    ],
    emit: (emitter, context) => {
      if (emitFaster?.(emitter, context)) return;
      const { inputs, outputs, attributes } = context;
      emitter.node(onnxType, [inputs[0], emitter.integers(attributes.axes)], outputs, {
        keepdims: attributes.keepDims ? 1 : 0,
      });
    },
  });
  return (x, axes, keepDims = false) => {
    const rank = x.shape.length;
    const all = (axes ?? x.shape.map((_, axis) => axis)).map((axis) =>
      normalizeAxis(axis, rank, `op ${name}`),
    );
    return all.length === 0 ? x : apply(op, [x], { axes: [...all].sort((a, b) => a - b), keepDims });
  };
}

/** Above this the row of ones would cost more memory than it saves time. */
const MOST_ONES = 16_384;

/**
 * The sum over all rows as the product of a row of ones with the matrix: 3–8 times faster on the CPU than
 * its ReduceSum over leading axes. False where the axes are others.
 */
function emitSumOfRows(...[emitter, context]: Parameters<EmitReduction>): boolean {
  const { inputs, outputs, inputTypes, outputTypes, attributes } = context;
  const { dtype, shape } = inputTypes[0];
  const rows = sizeOf(attributes.axes.map((axis) => shape[axis]));
  const columns = sizeOf(shape) / rows;
  const reduced = (axis: number) => attributes.axes.includes(axis) || shape[axis] === 1;
  const last = shape.findLastIndex((extent, axis) => extent > 1 && reduced(axis));
  const leading = shape.every((_, axis) => axis > last || reduced(axis));
  if (emitter.target.backend !== 'cpu' || dtype !== 'f32' || !leading) return false;
  if (rows < 2 || rows > MOST_ONES || columns < 2) return false;
  const isMatrix = sameShape(shape, [rows, columns]);
  const matrix = isMatrix
    ? inputs[0]
    : emitter.node('Reshape', [inputs[0], emitter.integers([rows, columns])], 1)[0];
  const ones = emitter.constant(floats([1, rows], new Float32Array(rows).fill(1)));
  const isRow = sameShape(outputTypes[0].shape, [1, columns]);
  const [total] = emitter.node('MatMul', [ones, matrix], isRow ? outputs : 1);
  if (!isRow) emitter.node('Reshape', [total, emitter.integers(outputTypes[0].shape)], outputs);
  return true;
}

/** Sum over `axes` (default all). */
export const sum = reduction(
  'sum',
  'ReduceSum',
  (x, _y, dy, { axes }) => expand(reshape(dy, keptShape(x.shape, axes)), x.shape),
  emitSumOfRows,
);

/** Mean over `axes` (default all). */
export const mean = reduction('mean', 'ReduceMean', (x, y, dy, { axes }) =>
  expand(reshape(div(dy, sizeOf(x.shape) / sizeOf(y.shape)), keptShape(x.shape, axes)), x.shape),
);

/**
 * Maximum over `axes` (default all). Among equal maxima the gradient is shared evenly, as torch.amax
 * does; torch.max over one axis gives it to one of them, which differs only at exact ties.
 */
export const max = reduction('max', 'ReduceMax', (x, y, dy, { axes }) => {
  const kept = keptShape(x.shape, axes);
  const hit = where(equal(x, reshape(y, kept)), 1, 0);
  return mul(hit, div(reshape(dy, kept), sum(hit, axes, true)));
});

/** Sums a broadcast gradient back to the shape of its operand. */
export function sumTo(gradient: Value, shape: Shape): Value {
  if (sameShape(gradient.shape, shape)) return gradient;
  const extra = gradient.shape.length - shape.length;
  const axes = gradient.shape
    .map((_, axis) => axis)
    .filter((axis) => axis < extra || (shape[axis - extra] === 1 && gradient.shape[axis] !== 1));
  return reshape(sum(gradient, axes, extra === 0), shape);
}
