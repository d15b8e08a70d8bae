import { ShapeError } from './errors.ts';

export type Shape = readonly number[];

/** Number of elements of a shape (1 for a scalar). */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const extent of shape) size *= extent;
  return size;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((extent, axis) => extent === b[axis]);
}

export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** NumPy broadcasting of two shapes; throws {@link ShapeError} where they do not fit. */
export function broadcastShapes(a: Shape, b: Shape, where = 'broadcast'): Shape {
  const rank = Math.max(a.length, b.length);
  const out: number[] = [];
  for (let i = 0; i < rank; i++) {
    const left = a[a.length - rank + i] ?? 1;
    const right = b[b.length - rank + i] ?? 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw new ShapeError({
        where,
        expected: 'shapes that broadcast',
        got: `${formatShape(a)} and ${formatShape(b)}`,
      });
    }
    out.push(left === 1 ? right : left);
  }
  return out;
}

/** Axis counted from the front; negative values count from the back. */
export function normalizeAxis(axis: number, rank: number, where = 'axis'): number {
  const normalized = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || normalized < 0 || normalized >= rank) {
    throw new ShapeError({ where, expected: `an axis of a rank-${rank} tensor`, got: String(axis) });
  }
  return normalized;
}

/** Row-major strides, in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}
