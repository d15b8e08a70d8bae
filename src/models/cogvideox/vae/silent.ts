import { copyElements, type TensorSource, type WeightTable } from '../../../runtime/index.ts';
import { allocate } from '../../../tensor/dtype.ts';
import { sizeOf } from '../../../tensor/shape.ts';

/** Elements looked at before all of a tensor is. */
const FIRST_LOOK = 256;

/**
 * Which residual blocks (by their path) add exactly nothing, because their last convolution is zero: only
 * their skips need computing. An encoder that is linear consists of such blocks.
 */
export function silentBranches(weights: WeightTable): (path: string) => boolean {
  const known = new Map<string, boolean>();
  const isZero = (name: string) => {
    const source = weights.get(name);
    return source !== undefined && hasOnlyZeros(source);
  };
  return (path) => {
    const last = `${path}.conv2.conv`;
    const found = known.get(path) ?? (isZero(`${last}.bias`) && isZero(`${last}.weight`));
    known.set(path, found);
    return found;
  };
}

function hasOnlyZeros(source: TensorSource): boolean {
  const size = sizeOf(source.shape);
  const isZero = (count: number) => {
    const elements = allocate(source.dtype, count);
    if ('data' in source) elements.set(source.data.subarray(0, count) as never);
    else {
      const byteLength = elements.byteLength;
      copyElements({ ...source, shape: [count], byteLength }, elements);
    }
    return elements.every((element: number | bigint) => Number(element) === 0);
  };
  return isZero(Math.min(size, FIRST_LOOK)) && isZero(size);
}
