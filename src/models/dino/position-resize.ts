import { type FloatTensor, floats } from '../../tensor/host-tensor.ts';

/** Keys's cubic with the sharpness that PyTorch's bicubic resize has. */
const SHARPNESS = -0.75;

function cubic(distance: number): number {
  const x = Math.abs(distance);
  const a = SHARPNESS;
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return a * (((x - 5) * x + 8) * x - 4);
  return 0;
}

/**
 * Rows of weights that resize a line of `from` samples to `to`: [to, from]. Sample positions are
 * (i + 0.5) / scale − 0.5 with the given scale, which need not be to / from; edges clamp; no antialiasing.
 */
export function bicubicWeights(from: number, to: number, scale: number): number[][] {
  return Array.from({ length: to }, (_, i) => {
    const weights = new Array<number>(from).fill(0);
    const source = (i + 0.5) / scale - 0.5;
    const left = Math.floor(source);
    for (let tap = left - 1; tap <= left + 2; tap++) {
      weights[Math.min(Math.max(tap, 0), from - 1)] += cubic(source - tap);
    }
    return weights;
  });
}

export interface PatchGrid {
  readonly rows: number;
  readonly columns: number;
}

/**
 * DINO's resize of a square position table as one matrix: [rows·columns, side²], to be multiplied with the
 * table [side², D]. Upstream passes scale factors (n + 0.1) / side to the bicubic resize, to be safe against
 * rounding down, and those, not the true ratio, place the samples.
 */
export function positionResize(side: number, { rows, columns }: PatchGrid): FloatTensor {
  const vertical = bicubicWeights(side, rows, (rows + 0.1) / side);
  const horizontal = bicubicWeights(side, columns, (columns + 0.1) / side);
  const data = new Float32Array(rows * columns * side * side);
  let at = 0;
  for (const rowWeights of vertical) {
    for (const columnWeights of horizontal) {
      for (const rowWeight of rowWeights) {
        for (const columnWeight of columnWeights) data[at++] = rowWeight * columnWeight;
      }
    }
  }
  return floats([rows * columns, side * side], data);
}
