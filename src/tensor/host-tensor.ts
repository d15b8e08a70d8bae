import { allocate, type DType, type DTypeArrays, type TensorData, toFloat32 } from './dtype.ts';
import { ShapeError } from './errors.ts';
import { formatShape, type Shape, sizeOf } from './shape.ts';

/** A dense row-major tensor in host memory. Plain data: it can cross worker threads as it is. */
export interface HostTensor<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: Shape;
  readonly data: DTypeArrays[D];
}

export type FloatTensor = HostTensor<'f32'>;

/** Wraps `data`; throws {@link ShapeError} where its length is not that of the shape. */
export function hostTensor<D extends DType>(dtype: D, shape: Shape, data: DTypeArrays[D]): HostTensor<D> {
  if (data.length !== sizeOf(shape)) {
    throw new ShapeError({
      where: 'tensor',
      expected: `${sizeOf(shape)} elements for shape ${formatShape(shape)}`,
      got: `${data.length}`,
    });
  }
  return { dtype, shape, data };
}

export function floats(shape: Shape, values: ArrayLike<number>): FloatTensor {
  return hostTensor('f32', shape, values instanceof Float32Array ? values : Float32Array.from(values));
}

export function integers(shape: Shape, values: ArrayLike<number>): HostTensor<'i64'> {
  return hostTensor(
    'i64',
    shape,
    BigInt64Array.from(Array.from(values), (value) => BigInt(value)),
  );
}

export function scalar(value: number): FloatTensor {
  return floats([], [value]);
}

export function zeros<D extends DType>(dtype: D, shape: Shape): HostTensor<D> {
  return { dtype, shape, data: allocate(dtype, sizeOf(shape)) };
}

/** The tensor as f32 (the same object where it already is). */
export function asFloats(tensor: HostTensor): FloatTensor {
  if (tensor.dtype === 'f32') return tensor as FloatTensor;
  return { dtype: 'f32', shape: tensor.shape, data: toFloat32(tensor.dtype, tensor.data as TensorData) };
}

/** The same elements under another shape. */
export function reshaped<D extends DType>(tensor: HostTensor<D>, shape: Shape): HostTensor<D> {
  return hostTensor(tensor.dtype, shape, tensor.data);
}

/** Largest |a − b| over two f32-readable tensors of equal shape; NaN anywhere gives Infinity. */
export function maxAbsDifference(a: HostTensor, b: HostTensor): number {
  if (sizeOf(a.shape) !== sizeOf(b.shape)) {
    throw new ShapeError({ where: 'comparison', expected: formatShape(a.shape), got: formatShape(b.shape) });
  }
  let worst = 0;
  const left = a.data as ArrayLike<number | bigint>;
  const right = b.data as ArrayLike<number | bigint>;
  const plain = (t: HostTensor) => t.dtype !== 'f16' && t.dtype !== 'bf16';
  const x = plain(a) ? left : asFloats(a).data;
  const y = plain(b) ? right : asFloats(b).data;
  for (let i = 0; i < x.length; i++) {
    const difference = Math.abs(Number(x[i]) - Number(y[i]));
    if (!(difference <= worst)) worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
  }
  return worst;
}
