import { broadcastShapes } from '../../tensor/shape.ts';
import { type OpCases, oneOutput } from '../op-sampler.cases.ts';
import { at, build, type NdArray, sumOver } from '../reference.cases.ts';
import * as g from './index.ts';

/** The array with its last two axes exchanged where `swapped`. */
export function swapLast(array: NdArray, swapped: boolean): NdArray {
  if (!swapped) return array;
  const { shape } = array;
  return build([...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!], (index) =>
    at(array, [...index.slice(0, -2), index.at(-1)!, index.at(-2)!]),
  );
}

/** A·B over broadcast leading axes. */
export function product(a: NdArray, b: NdArray): NdArray {
  const leading = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
  return build([...leading, a.shape.at(-2)!, b.shape.at(-1)!], (index) => {
    const [row, column] = index.slice(-2);
    const batch = index.slice(0, -2);
    return sumOver(a.shape.at(-1)!, (k) => at(a, [...batch, row, k]) * at(b, [...batch, k, column]));
  });
}

export const cases: OpCases = {
  gemm: (sampler) => {
    const [rows, inner, columns] = sampler.shape(3, 7);
    const [transposeA, transposeB] = [(sampler.index & 1) === 1, (sampler.index & 2) === 2];
    const a = sampler.floats(transposeA ? [inner, rows] : [rows, inner]);
    const b = sampler.floats(transposeB ? [columns, inner] : [inner, columns]);
    const c = sampler.variant([[rows, columns], [columns], undefined, [], [1, columns], [rows, 1]]);
    const addend = c && sampler.floats(c);
    const addendScale = sampler.variant([0.2, 1]);
    const plain = product(swapLast(a, transposeA), swapLast(b, transposeB));
    const expected = build(
      plain.shape,
      (index) => at(plain, index) + (addend ? addendScale * at(addend, index) : 0),
    );
    const attributes = { transposeA, transposeB, addendScale };
    return oneOutput(g.gemm(a.value, b.value, attributes, addend?.value), expected);
  },
  matmul: (sampler) => {
    const [rows, inner, columns] = sampler.shape(3, 6);
    const [transposeA, transposeB] = [(sampler.index & 1) === 1, (sampler.index & 2) === 2];
    const alpha = sampler.variant([0.3, 1], 3);
    const [leadingA, leadingB] = sampler.broadcastShapes(2, 3).map((shape) => shape.slice(-2));
    const a = sampler.floats([...leadingA, ...(transposeA ? [inner, rows] : [rows, inner])]);
    const b = sampler.floats([...leadingB, ...(transposeB ? [columns, inner] : [inner, columns])]);
    const plain = product(swapLast(a, transposeA), swapLast(b, transposeB));
    const expected = build(plain.shape, (index) => alpha * at(plain, index));
    return oneOutput(g.matmul(a.value, b.value, { transposeA, transposeB, alpha }), expected);
  },
};
