/** A picture of `channels` numbers for each pixel, row by row. */
export interface Raster {
  readonly data: Float32Array | Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

/**
 * Writes the bilinear value at (x, y), pixel centres being whole numbers, to `out[to]` …; outside the picture it is
 * that of the nearest border pixel.
 */
export function readBilinear(raster: Raster, x: number, y: number, out: Float32Array, to: number): void {
  const { data, width, height, channels } = raster;
  const insideX = Math.min(Math.max(x, 0), width - 1);
  const insideY = Math.min(Math.max(y, 0), height - 1);
  const left = Math.floor(insideX);
  const top = Math.floor(insideY);
  const [a, b] = [insideX - left, insideY - top];
  const across = left + 1 < width ? channels : 0;
  const down = top + 1 < height ? width * channels : 0;
  const from = (top * width + left) * channels;
  for (let c = 0; c < channels; c++) {
    const at = from + c;
    const above = data[at] * (1 - a) + data[at + across] * a;
    const below = data[at + down] * (1 - a) + data[at + down + across] * a;
    out[to + c] = above * (1 - b) + below * b;
  }
}
