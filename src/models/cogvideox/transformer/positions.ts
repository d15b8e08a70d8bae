import { type FloatTensor, floats } from '../../../tensor/host-tensor.ts';
import type { TransformerConfig } from './config.ts';

/** Extents of the token grid: latent frames, rows, columns after patching. */
export interface TokenGrid {
  readonly frames: number;
  readonly rows: number;
  readonly columns: number;
}

export interface GridSize {
  readonly rows: number;
  readonly columns: number;
}

/** Python's round: halves go to the even neighbour. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/**
 * The part of the base grid that a grid of another aspect covers when fitted into it, as
 * [top, left, bottom, right] (diffusers get_resize_crop_region_for_grid).
 */
export function cropRegion(grid: GridSize, base: GridSize): [number, number, number, number] {
  const tall = grid.rows / grid.columns > base.rows / base.columns;
  const rows = tall ? base.rows : roundHalfEven((base.columns / grid.columns) * grid.rows);
  const columns = tall ? roundHalfEven((base.rows / grid.rows) * grid.columns) : base.columns;
  const top = roundHalfEven((base.rows - rows) / 2);
  const left = roundHalfEven((base.columns - columns) / 2);
  return [top, left, top + rows, left + columns];
}

export interface RotaryTables {
  /** [S + N, d/2]; the S text rows are cos 1, sin 0, so that text passes unrotated. */
  readonly cos: FloatTensor;
  readonly sin: FloatTensor;
}

/**
 * 3D rotary tables (diffusers get_3d_rotary_pos_embed): pairs of a head are split 1/4 time, 3/8 rows,
 * 3/8 columns. Rows and columns are spread over the crop region of `base` and so may be fractional.
 */
export function rotaryTables(
  headDim: number,
  textTokens: number,
  grid: TokenGrid,
  base: GridSize,
): RotaryTables {
  const [top, left, bottom, right] = cropRegion(grid, base);
  const spread = (start: number, stop: number, count: number, i: number) => {
    const last = (stop * (count - 1)) / count;
    return count === 1 ? start : start + ((last - start) * i) / (count - 1);
  };
  const frequencies = (dim: number) => Array.from({ length: dim / 2 }, (_, i) => 10000 ** ((-2 * i) / dim));
  const time = frequencies(headDim / 4);
  const space = frequencies((headDim / 8) * 3);
  const pairs = headDim / 2;
  const tokens = textTokens + grid.frames * grid.rows * grid.columns;
  const cos = new Float32Array(tokens * pairs).fill(1, 0, textTokens * pairs);
  const sin = new Float32Array(tokens * pairs);
  let at = textTokens * pairs;
  for (let frame = 0; frame < grid.frames; frame++) {
    for (let row = 0; row < grid.rows; row++) {
      const y = spread(top, bottom, grid.rows, row);
      for (let column = 0; column < grid.columns; column++) {
        const x = spread(left, right, grid.columns, column);
        const angles = [
          ...time.map((f) => frame * f),
          ...space.map((f) => y * f),
          ...space.map((f) => x * f),
        ];
        for (const angle of angles) {
          cos[at] = Math.cos(angle);
          sin[at++] = Math.sin(angle);
        }
      }
    }
  }
  return { cos: floats([tokens, pairs], cos), sin: floats([tokens, pairs], sin) };
}

/** The base grid a checkpoint was trained with: its nominal latent size in whole patches. */
export function nominalBaseGrid(config: TransformerConfig): GridSize {
  const { sampleHeight, sampleWidth, patch } = config;
  return { rows: Math.floor(sampleHeight / patch), columns: Math.floor(sampleWidth / patch) };
}

/**
 * The added 3D sine-cosine table of the 2B style, [S + N, D] with zero text rows (diffusers
 * get_3d_sincos_pos_embed): a quarter of the width for time, then columns, then rows, each [sin, cos].
 */
export function sincosTable(config: TransformerConfig, textTokens: number, grid: TokenGrid): FloatTensor {
  const { width } = config;
  const timeDim = width / 4;
  const axisDim = (width / 4) * 3 * 0.5;
  const tokens = textTokens + grid.frames * grid.rows * grid.columns;
  const table = new Float32Array(tokens * width);
  const write = (position: number, dim: number, at: number) => {
    const half = dim / 2;
    for (let i = 0; i < half; i++) {
      const angle = position * 10000 ** (-i / half);
      table[at + i] = Math.sin(angle);
      table[at + half + i] = Math.cos(angle);
    }
  };
  let at = textTokens * width;
  for (let frame = 0; frame < grid.frames; frame++) {
    for (let row = 0; row < grid.rows; row++) {
      for (let column = 0; column < grid.columns; column++, at += width) {
        write(frame / config.temporalInterpolationScale, timeDim, at);
        write(column / config.spatialInterpolationScale, axisDim, at + timeDim);
        write(row / config.spatialInterpolationScale, axisDim, at + timeDim + axisDim);
      }
    }
  }
  return floats([tokens, width], table);
}
