import type { DType } from '../../tensor/dtype.ts';
import { floats } from '../../tensor/host-tensor.ts';
import {
  broadcastShapes,
  formatShape,
  normalizeAxis,
  type Shape,
  sameShape,
  sizeOf,
} from '../../tensor/shape.ts';
import { ONNX_DTYPE } from '../onnx-emitter.ts';
import { apply, applyAll, constant, defineOp, requireShape, type Value } from '../value.ts';
import { sumTo } from './reduce.ts';

export const reshapeOp = defineOp<{ shape: Shape }>({
  name: 'reshape',
  infer: ([x], { shape }) => {
    requireShape(
      sizeOf(x.shape) === sizeOf(shape) && shape.every(Number.isInteger),
      'reshape',
      `as many elements as ${formatShape(shape)}`,
      x,
    );
    return [{ dtype: x.dtype, shape }];
  },
  backward: ({ inputs, gradients }) => [reshape(gradients[0]!, inputs[0].shape)],
  emit: (emitter, { inputs, outputs, attributes }) => {
    emitter.node('Reshape', [inputs[0], emitter.integers(attributes.shape)], outputs);
  },
});

/** The same elements under another shape; one extent may be −1. */
export function reshape(x: Value, shape: Shape): Value {
  const known = shape.reduce((product, extent) => (extent === -1 ? product : product * extent), 1);
  const resolved = shape.map((extent) => (extent === -1 ? sizeOf(x.shape) / known : extent));
  // Of several reshapes in a row only the last counts.
  const source = x.node.op === reshapeOp ? x.node.inputs[0] : x;
  return sameShape(source.shape, resolved) ? source : apply(reshapeOp, [source], { shape: resolved });
}

const transposeOp = defineOp<{ order: readonly number[] }>({
  name: 'transpose',
  infer: ([x], { order }) => {
    const valid =
      [...order].sort((a, b) => a - b).every((axis, i) => axis === i) && order.length === x.shape.length;
    requireShape(valid, 'transpose', `a permutation of the axes, not [${order}]`, x);
    return [{ dtype: x.dtype, shape: order.map((axis) => x.shape[axis]) }];
  },
  backward: ({ gradients, attributes: { order } }) => {
    const inverse = new Array<number>(order.length);
    for (const [to, from] of order.entries()) inverse[from] = to;
    return [transpose(gradients[0]!, inverse)];
  },
  emit: (emitter, { inputs, outputs, attributes }) => {
    emitter.node('Transpose', inputs, outputs, { perm: attributes.order });
  },
});

/** Axes in another order: result axis i is operand axis order[i]. */
export function transpose(x: Value, order: readonly number[]): Value {
  return apply(transposeOp, [x], { order });
}

/** The last two axes exchanged. */
export function transposeLast(x: Value): Value {
  const order = x.shape.map((_, axis) => axis);
  const last = order.length - 1;
  return transpose(x, [...order.slice(0, last - 1), last, last - 1]);
}

export const expandOp = defineOp<{ shape: Shape }>({
  name: 'expand',
  infer: ([x], { shape }) => {
    const broadcast = broadcastShapes(x.shape, shape, 'op expand');
    requireShape(
      sameShape(broadcast, shape),
      'expand',
      `a shape that broadcasts to ${formatShape(shape)}`,
      x,
    );
    return [{ dtype: x.dtype, shape }];
  },
  backward: ({ inputs, gradients }) => [sumTo(gradients[0]!, inputs[0].shape)],
  emit: (emitter, { inputs, outputs, attributes }) => {
    emitter.node('Expand', [inputs[0], emitter.integers(attributes.shape)], outputs);
  },
});

/** x repeated along its axes of extent 1 (and new leading ones). */
export function expand(x: Value, shape: Shape): Value {
  return sameShape(x.shape, shape) ? x : apply(expandOp, [x], { shape });
}

const concatOp = defineOp<{ axis: number }>({
  name: 'concat',
  infer: (inputs, { axis }) => {
    const [first] = inputs;
    const fits = inputs.every(
      (x) =>
        x.dtype === first.dtype &&
        x.shape.length === first.shape.length &&
        x.shape.every((extent, i) => i === axis || extent === first.shape[i]),
    );
    requireShape(fits, 'concat', `operands alike but for axis ${axis}`, ...inputs);
    const total = inputs.reduce((sum, x) => sum + x.shape[axis], 0);
    return [{ dtype: first.dtype, shape: first.shape.map((extent, i) => (i === axis ? total : extent)) }];
  },
  backward: ({ inputs, gradients, attributes: { axis }, needs }) => {
    let start = 0;
    return inputs.map((x, i) => {
      const from = start;
      start += x.shape[axis];
      return needs[i] ? slice(gradients[0]!, axis, from, start) : undefined;
    });
  },
  emit: (emitter, { inputs, outputs, attributes }) => {
    emitter.node('Concat', inputs, outputs, { axis: attributes.axis });
  },
});

export function concat(values: readonly Value[], axis: number): Value {
  if (values.length === 1) return values[0];
  return apply(concatOp, values, { axis: normalizeAxis(axis, values[0].shape.length, 'op concat') });
}

export interface SliceAttributes {
  readonly axis: number;
  readonly start: number;
  readonly stop: number;
  readonly step: number;
}

export const sliceOp = defineOp<SliceAttributes>({
  name: 'slice',
  infer: ([x], { axis, start, stop, step }) => {
    const whole = [start, stop, step].every(Number.isInteger);
    const valid = whole && start >= 0 && stop <= x.shape[axis] && start < stop && step >= 1;
    requireShape(valid, 'slice', `${start}:${stop}:${step} inside axis ${axis}`, x);
    const extent = Math.ceil((stop - start) / step);
    return [{ dtype: x.dtype, shape: x.shape.map((old, i) => (i === axis ? extent : old)) }];
  },
  backward: ({ inputs: [x], gradients, attributes: { axis, start, stop, step } }) => {
    const gradient = gradients[0]!;
    const whole = x.shape[axis];
    if (step === 1) return [pad(gradient, axis, start, whole - stop)];
    // Spread: each element followed by step − 1 zeros, cut to length, then padded.
    const spread = pad(
      reshape(gradient, [...gradient.shape.slice(0, axis + 1), 1, ...gradient.shape.slice(axis + 1)]),
      axis + 1,
      0,
      step - 1,
    );
    const extent = gradient.shape[axis] * step;
    const flat = reshape(
      spread,
      x.shape.map((old, i) => (i === axis ? extent : old)),
    );
    const room = whole - start;
    const cut = extent > room ? slice(flat, axis, 0, room) : flat;
    return [pad(cut, axis, start, Math.max(0, room - extent))];
  },
  emit: (emitter, { inputs, outputs, attributes: { axis, start, stop, step } }) => {
    const bounds = [start, stop].map((bound) => emitter.integers([bound]));
    emitter.node(
      'Slice',
      [inputs[0], ...bounds, emitter.integers([axis]), emitter.integers([step])],
      outputs,
    );
  },
});

/** Elements start, start + step, … below stop along one axis. */
export function slice(x: Value, axis: number, start: number, stop: number, step = 1): Value {
  const along = normalizeAxis(axis, x.shape.length, 'op slice');
  if (start === 0 && stop === x.shape[along] && step === 1) return x;
  return apply(sliceOp, [x], { axis: along, start, stop, step });
}

interface SplitAttributes {
  readonly axis: number;
  readonly extents: readonly number[];
}

const splitOp = defineOp<SplitAttributes>({
  name: 'split',
  infer: ([x], { axis, extents }) => {
    const total = extents.reduce((sum, extent) => sum + extent, 0);
    const valid =
      total === x.shape[axis] && extents.every((extent) => Number.isInteger(extent) && extent > 0);
    requireShape(valid, 'split', `extents that sum to axis ${axis}, not [${extents}]`, x);
    return extents.map((extent) => ({ dtype: x.dtype, shape: x.shape.with(axis, extent) }));
  },
  backward: ({ outputs, gradients, attributes: { axis } }) => {
    const zero = constant(floats([], [0]));
    return [
      concat(
        outputs.map(({ shape }, i) => gradients[i] ?? expand(zero, shape)),
        axis,
      ),
    ];
  },
  emit: (emitter, { inputs, outputs, attributes: { axis, extents } }) => {
    // Split has no optional results.
    if (!outputs.includes('')) {
      emitter.node('Split', [inputs[0], emitter.integers(extents)], outputs, { axis });
      return;
    }
    let start = 0;
    for (const [i, extent] of extents.entries()) {
      const bounds = [start, start + extent].map((bound) => emitter.integers([bound]));
      if (outputs[i]) emitter.node('Slice', [inputs[0], ...bounds, emitter.integers([axis])], [outputs[i]]);
      start += extent;
    }
  },
});

/** Consecutive pieces of the given extents along one axis. */
export function split(x: Value, axis: number, extents: readonly number[]): readonly Value[] {
  if (extents.length === 1) return [slice(x, axis, 0, extents[0])];
  return applyAll(splitOp, [x], { axis: normalizeAxis(axis, x.shape.length, 'op split'), extents });
}

/** `parts` pieces of equal extent along one axis. */
export function chunk(x: Value, axis: number, parts: number): readonly Value[] {
  const extent = x.shape[normalizeAxis(axis, x.shape.length, 'op chunk')] / parts;
  return split(x, axis, new Array<number>(parts).fill(extent));
}

interface PadAttributes {
  readonly axis: number;
  readonly before: number;
  readonly after: number;
}

const padOp = defineOp<PadAttributes>({
  name: 'pad',
  infer: ([x], { axis, before, after }) => {
    const valid = [before, after].every((margin) => Number.isInteger(margin) && margin >= 0);
    requireShape(valid, 'pad', `whole margins ≥ 0, not ${before} and ${after}`, x);
    return [
      { dtype: x.dtype, shape: x.shape.map((extent, i) => (i === axis ? extent + before + after : extent)) },
    ];
  },
  backward: ({ inputs: [x], gradients, attributes: { axis, before } }) => [
    slice(gradients[0]!, axis, before, before + x.shape[axis]),
  ],
  emit: (emitter, { inputs, outputs, inputTypes: [{ shape }], attributes: { axis, before, after } }) => {
    const margins = (margin: number) => shape.map((_, i) => (i === axis ? margin : 0));
    // Of every axis, without the input that names some: onnxruntime's transpose optimizer overlooks that one.
    const amounts = emitter.integers([...margins(before), ...margins(after)]);
    emitter.node('Pad', [inputs[0], amounts], outputs, { mode: 'constant' });
  },
});

/** Zeros before and after along one axis. */
export function pad(x: Value, axis: number, before: number, after: number): Value {
  if (before === 0 && after === 0) return x;
  return apply(padOp, [x], { axis: normalizeAxis(axis, x.shape.length, 'op pad'), before, after });
}

const gatherOp = defineOp<Record<string, never>>({
  name: 'gather',
  infer: ([table, indices]) => {
    requireShape(
      indices.dtype === 'i64' && table.shape.length === 2,
      'gather',
      'a matrix and i64 row numbers',
      table,
      indices,
    );
    return [{ dtype: table.dtype, shape: [...indices.shape, table.shape[1]] }];
  },
  backward: ({ inputs: [table, indices], gradients, needs }) => {
    if (!needs[0]) return [undefined, undefined];
    return [apply(scatterRowsOp, [indices, gradients[0]!], { rows: table.shape[0] }), undefined];
  },
  emit: (emitter, { inputs, outputs }) => {
    emitter.node('Gather', inputs, outputs, { axis: 0 });
  },
});

const scatterRowsOp = defineOp<{ rows: number }>({
  name: 'scatterRows',
  infer: ([, values], { rows }) => [
    { dtype: values.dtype, shape: [rows, values.shape[values.shape.length - 1]] },
  ],
  emit: (emitter, { inputs, outputs, outputTypes, inputTypes }) => {
    const [rows, width] = outputTypes[0].shape;
    const zero = emitter.node('Expand', [emitter.scalar(0), emitter.integers([rows, width])], 1)[0];
    const count = sizeOf(inputTypes[0].shape);
    const [column] = emitter.node('Reshape', [inputs[0], emitter.integers([count, 1])], 1);
    const [indices] = emitter.node('Expand', [column, emitter.integers([count, width])], 1);
    const [updates] = emitter.node('Reshape', [inputs[1], emitter.integers([count, width])], 1);
    // Not ScatterND: on the CPU its threads race for rows that are named twice, and additions are lost.
    emitter.node('ScatterElements', [zero, indices, updates], outputs, { axis: 0, reduction: 'add' });
  },
});

/** Rows of a matrix [V, D] by i64 indices of any shape → [..., D] (an embedding look-up). */
export function gather(table: Value, indices: Value): Value {
  return apply(gatherOp, [table, indices], {});
}

const castOp = defineOp<{ to: DType }>({
  name: 'cast',
  infer: ([x], { to }) => [{ dtype: to, shape: x.shape }],
  emit: (emitter, { inputs, outputs, attributes }) => {
    emitter.node('Cast', inputs, outputs, { to: ONNX_DTYPE[attributes.to] });
  },
});

/** Another dtype; not differentiable (gradients are f32 throughout). */
export function cast(x: Value, to: DType): Value {
  return x.dtype === to ? x : apply(castOp, [x], { to });
}
