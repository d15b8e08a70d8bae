import { allocate, DTYPE_SIZE_BYTES, type TensorData, viewBytes } from '../../tensor/dtype.ts';
import { type HostTensor, hostTensor } from '../../tensor/host-tensor.ts';
import { sizeOf, stridesOf } from '../../tensor/shape.ts';
import type { PickleTensor } from './value.ts';

/** Bytes of the tensor once every element has its own place. */
export function denseBytesOf({ storage, shape }: PickleTensor): number {
  return sizeOf(shape) * DTYPE_SIZE_BYTES[storage.dtype];
}

/** Whether the elements lie one after another in row-major order (strides of axes of extent 1 are free). */
export function isRowMajor({ shape, strides }: PickleTensor): boolean {
  if (sizeOf(shape) === 0) return true;
  const expected = stridesOf(shape);
  return shape.every((extent, axis) => extent === 1 || strides[axis] === expected[axis]);
}

/** The strided view as a dense tensor; it may keep `bytes` as its memory where it is the whole storage. */
export function gatherTensor(tensor: PickleTensor, bytes: Uint8Array, mayKeep: boolean): HostTensor {
  const { storage, shape, strides, offset } = tensor;
  const source: TensorData = viewBytes(storage.dtype, bytes);
  const length = sizeOf(shape);
  if (isRowMajor(tensor)) {
    const whole = mayKeep && offset === 0 && length === source.length;
    return hostTensor(storage.dtype, shape, whole ? source : source.slice(offset, offset + length));
  }
  const data = allocate(storage.dtype, length);
  const from = source as { [index: number]: number | bigint };
  const to = data as { [index: number]: number | bigint };
  const index = new Array<number>(shape.length).fill(0);
  let position = offset;
  for (let element = 0; element < length; element++) {
    to[element] = from[position];
    // Count up the last axis; carry where it is full.
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      position += strides[axis];
      if (++index[axis] < shape[axis]) break;
      position -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return hostTensor(storage.dtype, shape, data);
}
