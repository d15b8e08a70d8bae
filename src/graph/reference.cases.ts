import { broadcastShapes, type Shape, sizeOf, stridesOf } from '../tensor/shape.ts';

/** A dense array in f64: what the plain references compute with. */
export interface NdArray {
  readonly shape: Shape;
  readonly data: ArrayLike<number>;
}

/** The array whose element at each index is `element(index)`. */
export function build(shape: Shape, element: (index: readonly number[]) => number): NdArray {
  const index = shape.map(() => 0);
  const data = Float64Array.from({ length: sizeOf(shape) }, () => {
    const value = element(index);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]++;
      if (index[axis] < shape[axis]) break;
      index[axis] = 0;
    }
    return value;
  });
  return { shape: [...shape], data };
}

/** The element at an index; leading axes that the array lacks and extents of 1 are broadcast. */
export function at({ shape, data }: NdArray, index: readonly number[]): number {
  const strides = stridesOf(shape);
  const skipped = index.length - shape.length;
  let offset = 0;
  for (const [axis, extent] of shape.entries()) {
    if (extent !== 1) offset += strides[axis] * index[axis + skipped];
  }
  return data[offset];
}

/** f over broadcast arrays. */
export function elementwise(f: (...operands: number[]) => number, ...arrays: readonly NdArray[]): NdArray {
  const shape = arrays.reduce<Shape>((joint, array) => broadcastShapes(joint, array.shape), []);
  return build(shape, (index) => f(...arrays.map((array) => at(array, index))));
}

/** Σ f(i) for i below `count`. */
export function sumOver(count: number, f: (i: number) => number): number {
  let total = 0;
  for (let i = 0; i < count; i++) total += f(i);
  return total;
}

/** f over all elements that share every index but those of `axes`, which become 1 or vanish. */
export function reduce(
  array: NdArray,
  axes: readonly number[],
  keepDims: boolean,
  f: (elements: number[]) => number,
): NdArray {
  const groups = new Map<string, number[]>();
  build(array.shape, (index) => {
    const key = index.map((i, axis) => (axes.includes(axis) ? 0 : i)).join();
    const group = groups.get(key) ?? [];
    groups.set(key, group);
    group.push(at(array, index));
    return 0;
  });
  const shape = array.shape
    .map((extent, axis) => (axes.includes(axis) ? 1 : extent))
    .filter((_, axis) => keepDims || !axes.includes(axis));
  // Groups were met in row-major order of what remains.
  return { shape, data: Float64Array.from(groups.values(), f) };
}

/** Abramowitz and Stegun 7.1.5: the Maclaurin series, enough below |x| = 4. */
export function erf(x: number): number {
  let term = x;
  let total = x;
  for (let n = 1; n < 120; n++) {
    term *= -(x * x) / n;
    total += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
}

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
