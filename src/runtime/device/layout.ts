import * as g from '../../graph/index.ts';
import type { Value } from '../../graph/value.ts';
import { type Shape, sizeOf } from '../../tensor/shape.ts';

/** Elements of a row: what most widths are multiples of, so that little is padding. */
export const ROW = 64;

export interface DeviceTensor {
  readonly name: string;
  readonly shape: Shape;
  /** First row, and rows. */
  readonly row: number;
  readonly rows: number;
}

/**
 * All trainable tensors in one buffer [R, 64] on the device, each from a row of its own on: a few large
 * buffers are cheap to pass from step to step, hundreds of small ones are not.
 */
export interface DeviceLayout {
  readonly tensors: readonly DeviceTensor[];
  readonly rows: number;
}

export function deviceLayout(
  tensors: readonly { readonly name: string; readonly shape: Shape }[],
): DeviceLayout {
  let row = 0;
  const placed = tensors.map(({ name, shape }) => {
    const rows = Math.ceil(sizeOf(shape) / ROW);
    const tensor = { name, shape, row, rows };
    row += rows;
    return tensor;
  });
  return { tensors: placed, rows: row };
}

/** A tensor out of the buffer: [R · 64] → its shape. */
export function unpacked(flat: Value, { shape, row }: DeviceTensor): Value {
  const start = row * ROW;
  return g.reshape(g.slice(flat, 0, start, start + sizeOf(shape)), shape);
}

/** Tensors, or zeros where there is none, as one buffer [R, 64]. */
export function packed(layout: DeviceLayout, tensorOf: (name: string) => Value | undefined): Value {
  const parts = layout.tensors.flatMap(({ name, shape, rows }) => {
    const value = tensorOf(name);
    const used = value ? sizeOf(shape) : 0;
    const rest = rows * ROW - used;
    return [
      ...(value ? [g.reshape(value, [used])] : []),
      ...(rest > 0
        ? [g.expand(g.constant({ dtype: 'f32', shape: [1], data: new Float32Array(1) }), [rest])]
        : []),
    ];
  });
  return g.reshape(g.concat(parts, 0), [layout.rows, ROW]);
}
