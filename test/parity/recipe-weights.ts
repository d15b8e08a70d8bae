import type { WeightTable } from '../../src/runtime/index.ts';
import { floats } from '../../src/tensor/host-tensor.ts';
import { type Shape, sizeOf } from '../../src/tensor/shape.ts';

/** A tensor that a golden folder describes instead of holding it; its README has the formula. */
export interface WeightRecipe {
  readonly name: string;
  readonly shape: Shape;
  readonly seed: number;
  readonly lo: number;
  readonly hi: number;
}

export function madeWeights(recipes: readonly WeightRecipe[]): WeightTable {
  const made = recipes.map(({ name, shape, seed, lo, hi }) => {
    const uniform = mulberry32(seed);
    return [
      name,
      floats(
        shape,
        Float32Array.from({ length: sizeOf(shape) }, () => lo + (hi - lo) * uniform()),
      ),
    ] as const;
  });
  return new Map(made);
}

/** The generator that the folders' READMEs name. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
