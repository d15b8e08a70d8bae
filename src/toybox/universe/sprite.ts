import type { Picture } from '../art/source.ts';

/** The art's canvas at the sizes that sprites are kept in, in pixels, largest first. */
export const LEVEL_SIZES = [72, 50, 35, 24] as const;

/** Pixels with less alpha than this do not count for a sprite's extent. */
const VISIBLE_ALPHA = 16;

/** The part of the canvas that a sprite fills, in canvas units: 0–1 from left and top. */
export interface Extent {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** One size of a sprite. Pixels are RGBA with alpha multiplied in; the outermost ones are transparent. */
export interface SpriteLevel {
  /** Pixels per canvas. */
  readonly size: number;
  /** Where on the canvas (in this level's pixels) the first pixel lies. */
  readonly originX: number;
  readonly originY: number;
  readonly width: number;
  readonly height: number;
  /** [frames, height, width, 4] */
  readonly pixels: Uint8Array;
}

/** The frames of one subject, at several sizes. */
export interface Sprite {
  readonly frames: number;
  readonly extent: Extent;
  readonly levels: readonly SpriteLevel[];
}

/** The extent of all frames together. Throws RangeError where nothing is visible. */
export function extentOf(frames: readonly Picture[]): Extent {
  const { width, height } = frames[0];
  let left = width;
  let top = height;
  let right = 0;
  let bottom = 0;
  for (const { rgba } of frames) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        if (rgba[(y * width + x) * 4 + 3] < VISIBLE_ALPHA) continue;
        if (x < left) left = x;
        if (x >= right) right = x + 1;
        if (y < top) top = y;
        if (y >= bottom) bottom = y + 1;
      }
    }
  }
  if (right === 0) throw new RangeError('a sprite needs something visible');
  return { left: left / width, top: top / height, right: right / width, bottom: bottom / height };
}

/** Makes the sprite of an animation (or, with one frame, of a still): trimmed, alpha multiplied in, reduced. */
export function makeSprite(frames: readonly Picture[]): Sprite {
  const extent = extentOf(frames);
  const premultiplied = frames.map(premultiply);
  const levels = LEVEL_SIZES.map((size): SpriteLevel => {
    // One transparent pixel around lets bilinear sampling fade out at the edge.
    const originX = Math.floor(extent.left * size) - 1;
    const originY = Math.floor(extent.top * size) - 1;
    const width = Math.ceil(extent.right * size) + 1 - originX;
    const height = Math.ceil(extent.bottom * size) + 1 - originY;
    const pixels = new Uint8Array(frames.length * height * width * 4);
    const columns = coverage(frames[0].width, size, originX, width);
    const rows = coverage(frames[0].height, size, originY, height);
    premultiplied.forEach((source, frame) => {
      reduce(source, frames[0].width, columns, rows, pixels, frame * height * width * 4);
    });
    return { size, originX, originY, width, height, pixels };
  });
  return { frames: frames.length, extent, levels };
}

function premultiply({ rgba }: Picture): Float32Array {
  const out = new Float32Array(rgba.length);
  for (let i = 0; i < rgba.length; i += 4) {
    const alpha = rgba[i + 3] / 255;
    out[i] = rgba[i] * alpha;
    out[i + 1] = rgba[i + 1] * alpha;
    out[i + 2] = rgba[i + 2] * alpha;
    out[i + 3] = rgba[i + 3];
  }
  return out;
}

/** Which source pixels one target pixel covers, and by how much. */
interface Cover {
  readonly first: number;
  readonly weights: Float32Array;
}

function coverage(sourceSize: number, targetSize: number, origin: number, length: number): Cover[] {
  const ratio = sourceSize / targetSize;
  return Array.from({ length }, (_, index) => {
    const from = Math.max((origin + index) * ratio, 0);
    const to = Math.min((origin + index + 1) * ratio, sourceSize);
    if (to <= from) return { first: 0, weights: new Float32Array(0) };
    const first = Math.floor(from);
    const weights = Float32Array.from({ length: Math.ceil(to) - first }, (_, k) => {
      const overlap = Math.min(first + k + 1, to) - Math.max(first + k, from);
      return overlap / ratio;
    });
    return { first, weights };
  });
}

/** Area-weighted reduction, rows after columns. */
function reduce(
  source: Float32Array,
  sourceWidth: number,
  columns: readonly Cover[],
  rows: readonly Cover[],
  out: Uint8Array,
  offset: number,
): void {
  const width = columns.length;
  const sum = new Float32Array(width * 4);
  rows.forEach((row, y) => {
    sum.fill(0);
    row.weights.forEach((rowWeight, k) => {
      const line = (row.first + k) * sourceWidth;
      for (let x = 0; x < width; x++) {
        const { first, weights } = columns[x];
        for (let j = 0; j < weights.length; j++) {
          const weight = rowWeight * weights[j];
          const from = (line + first + j) * 4;
          for (let c = 0; c < 4; c++) sum[x * 4 + c] += weight * source[from + c];
        }
      }
    });
    const to = offset + y * width * 4;
    for (let i = 0; i < sum.length; i++) out[to + i] = Math.round(sum[i]);
  });
}
