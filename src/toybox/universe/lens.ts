import { CLIP_SIZE } from './composite.ts';

/** Share of light that falls on each neighbour along an axis, of 256: a standard deviation of 0.6 pixels. */
const NEIGHBOUR = 46;
const OWN = 256 - 2 * NEIGHBOUR;
const ROW = CLIP_SIZE * 3;

/**
 * What a lens does to a frame [64, 64, 3] of ideally sharp light: every point spreads over 0.6 pixels. Art
 * sampled without it has edges of one pixel, which no camera shows and no codec of this size can keep.
 */
export function applyLens(rgb: Uint8Array): void {
  const across = new Uint16Array(rgb.length);
  for (let y = 0; y < CLIP_SIZE; y++) {
    for (let x = 0; x < CLIP_SIZE; x++) {
      const at = y * ROW + x * 3;
      const left = x === 0 ? at : at - 3;
      const right = x === CLIP_SIZE - 1 ? at : at + 3;
      for (let c = 0; c < 3; c++) {
        across[at + c] = rgb[at + c] * OWN + (rgb[left + c] + rgb[right + c]) * NEIGHBOUR;
      }
    }
  }
  for (let y = 0; y < CLIP_SIZE; y++) {
    const line = y * ROW;
    const above = y === 0 ? line : line - ROW;
    const below = y === CLIP_SIZE - 1 ? line : line + ROW;
    for (let x = 0; x < ROW; x++) {
      const sum = across[line + x] * OWN + (across[above + x] + across[below + x]) * NEIGHBOUR;
      rgb[line + x] = (sum + 0x8000) >> 16;
    }
  }
}
