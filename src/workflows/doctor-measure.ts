import { resize, type Size } from '../media/index.ts';
import { type HostTensor, hostTensor } from '../tensor/host-tensor.ts';

/** What pixels say about one picture. */
export interface Look {
  /** Mean luma, 0 black … 255 white. */
  readonly brightness: number;
  /** Standard deviation of luma; near 0 for a single colour. */
  readonly contrast: number;
  /** Energy of fine detail over energy of all detail; small for blurred pictures. */
  readonly sharpness: number;
  /** 64-bit difference hash: does luma rise from left to right in each of 8×8 places. */
  readonly hash: bigint;
  /** 16×16 RGB, for comparing colours. */
  readonly thumbnail: Uint8Array;
}

const THUMBNAIL: Size = { width: 16, height: 16 };
const HASH_GRID: Size = { width: 9, height: 8 };
/** Pictures are measured at this short side, so that sharpness means the same for all. */
export const MEASURED_SIDE = 256;

/** The size at which a picture is measured: short side {@link MEASURED_SIDE}, never enlarged. */
export function measuredSize({ width, height }: Size): Size {
  const scale = Math.min(1, MEASURED_SIDE / Math.min(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/** Measures a picture, u8 [H, W, 3]. */
export function lookAt(image: HostTensor<'u8'>): Look {
  const [height, width] = image.shape;
  const small = resize(image, measuredSize({ width, height }), 'bilinear');
  const luma = lumaOf(small);
  const mean = average(luma);
  const variance = average(luma.map((value) => (value - mean) ** 2));
  return {
    brightness: mean,
    contrast: Math.sqrt(variance),
    sharpness: variance > 0 ? laplacianEnergy(luma, small.shape[1], small.shape[0]) / variance : 0,
    hash: differenceHash(small),
    thumbnail: resize(small, THUMBNAIL, 'bilinear').data,
  };
}

/** Rec. 601 luma of each pixel. */
function lumaOf(image: HostTensor<'u8'>): Float32Array {
  const luma = new Float32Array(image.data.length / 3);
  for (let i = 0; i < luma.length; i++) {
    luma[i] = 0.299 * image.data[i * 3] + 0.587 * image.data[i * 3 + 1] + 0.114 * image.data[i * 3 + 2];
  }
  return luma;
}

function average(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

// What rounding to whole grey levels alone gives: (4² + 4·1²) · 1/12.
const ROUNDING_ENERGY = 20 / 12;

/** Mean square of the 4-neighbour Laplacian over the inner pixels, less what rounding adds. */
function laplacianEnergy(luma: Float32Array, width: number, height: number): number {
  let sum = 0;
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const at = y * width + x;
      sum += (luma[at - 1] + luma[at + 1] + luma[at - width] + luma[at + width] - 4 * luma[at]) ** 2;
    }
  }
  return Math.max(0, sum / Math.max(1, (width - 2) * (height - 2)) - ROUNDING_ENERGY);
}

function differenceHash(image: HostTensor<'u8'>): bigint {
  const luma = lumaOf(resize(image, HASH_GRID, 'bilinear'));
  let hash = 0n;
  for (let y = 0; y < HASH_GRID.height; y++) {
    for (let x = 1; x < HASH_GRID.width; x++) {
      const at = y * HASH_GRID.width + x;
      hash = (hash << 1n) | (luma[at] > luma[at - 1] ? 1n : 0n);
    }
  }
  return hash;
}

const SAME_HASH_BITS = 6;
const SAME_THUMBNAIL_DIFFERENCE = 24;

/** Whether two pictures show nearly the same: rescaled, recompressed, a little brighter. */
export function looksAlike(a: Look, b: Look): boolean {
  return bitsApart(a.hash, b.hash) <= SAME_HASH_BITS && colourDistance(a, b) <= SAME_THUMBNAIL_DIFFERENCE;
}

function bitsApart(a: bigint, b: bigint): number {
  let difference = a ^ b;
  let count = 0;
  while (difference > 0n) {
    count += Number(difference & 1n);
    difference >>= 1n;
  }
  return count;
}

/** Mean absolute difference of the thumbnails, in grey levels. */
export function colourDistance(a: Look, b: Look): number {
  let sum = 0;
  for (let i = 0; i < a.thumbnail.length; i++) sum += Math.abs(a.thumbnail[i] - b.thumbnail[i]);
  return sum / a.thumbnail.length;
}

/** Frame `index` of u8 [F, H, W, 3], as [H, W, 3]. */
export function frameOf(frames: HostTensor<'u8'>, index: number): HostTensor<'u8'> {
  const [, height, width] = frames.shape;
  const frameBytes = height * width * 3;
  return hostTensor(
    'u8',
    [height, width, 3],
    frames.data.subarray(index * frameBytes, (index + 1) * frameBytes),
  );
}
