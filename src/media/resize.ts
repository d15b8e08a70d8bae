import { ShapeError } from '../tensor/errors.ts';
import { type HostTensor, zeros } from '../tensor/host-tensor.ts';
import { formatShape } from '../tensor/shape.ts';

export type ResizeFilter = 'bilinear' | 'bicubic';

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Kernels over distance in source pixels at scale 1: triangle of radius 1; Keys cubic, a = −0.5, radius 2. */
const KERNELS: Record<ResizeFilter, { readonly radius: number; weight(distance: number): number }> = {
  bilinear: { radius: 1, weight: (distance) => Math.max(0, 1 - Math.abs(distance)) },
  bicubic: {
    radius: 2,
    weight: (distance) => {
      const a = -0.5;
      const x = Math.abs(distance);
      if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
      if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
      return 0;
    },
  },
};

// 8-bit arithmetic of the rule: weights are integers over 2^22, so that sums of 8-bit values fit 32 bits.
const WEIGHT_BITS = 22;

interface Taps {
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** `stride` weights for each output position. */
  readonly weights: Int32Array;
  readonly stride: number;
}

/**
 * Resizes as Pillow does (`Image.resize`, also the image path of CLIP, open_clip and DINO): antialiased, the
 * kernel widened by the scale when shrinking, weights normalised at the edges; horizontal pass first, rounded
 * to 8 bits, then the vertical pass. A pass that changes nothing is left out.
 * u8 [H, W, 3] or [F, H, W, 3] → the same rank at `size`.
 */
export function resize(
  image: HostTensor<'u8'>,
  size: Size,
  filter: ResizeFilter = 'bicubic',
): HostTensor<'u8'> {
  const rank = image.shape.length;
  if ((rank !== 3 && rank !== 4) || image.shape[rank - 1] !== 3) {
    throw new ShapeError({
      where: 'resize',
      expected: '[H, W, 3] or [F, H, W, 3]',
      got: formatShape(image.shape),
    });
  }
  const [height, width] = image.shape.slice(-3);
  if (!isExtent(size.width) || !isExtent(size.height) || width === 0 || height === 0) {
    throw new ShapeError({
      where: 'resize',
      expected: 'whole, positive widths and heights',
      got: `${width}×${height} to ${size.width}×${size.height}`,
    });
  }
  const frames = rank === 4 ? image.shape[0] : 1;
  const outShape = [...image.shape.slice(0, -3), size.height, size.width, 3];
  const out = zeros('u8', outShape);
  const across = width === size.width ? undefined : tapsFor(width, size.width, filter);
  const down = height === size.height ? undefined : tapsFor(height, size.height, filter);
  const middle = across ? new Uint8Array(height * size.width * 3) : undefined;
  for (let frame = 0; frame < frames; frame++) {
    const source = image.data.subarray(frame * height * width * 3, (frame + 1) * height * width * 3);
    const target = out.data.subarray(
      frame * size.height * size.width * 3,
      (frame + 1) * size.height * size.width * 3,
    );
    if (across && middle) resizeRows(source, width, height, down ? middle : target, size.width, across);
    const rows = middle ?? source;
    if (down) resizeColumns(rows, size.width * 3, target, size.height, down);
    else if (!across) target.set(source);
  }
  return out;
}

function isExtent(value: number): boolean {
  return Number.isInteger(value) && value > 0;
}

function tapsFor(from: number, to: number, filter: ResizeFilter): Taps {
  const kernel = KERNELS[filter];
  const scale = from / to;
  const widening = Math.max(scale, 1);
  const reach = kernel.radius * widening;
  const stride = Math.ceil(reach) * 2 + 1;
  const first = new Int32Array(to);
  const count = new Int32Array(to);
  const weights = new Int32Array(to * stride);
  const exact = new Float64Array(stride);
  for (let position = 0; position < to; position++) {
    const centre = (position + 0.5) * scale;
    const begin = Math.max(0, Math.trunc(centre - reach + 0.5));
    const end = Math.min(from, Math.trunc(centre + reach + 0.5));
    let sum = 0;
    for (let tap = 0; tap < end - begin; tap++) {
      exact[tap] = kernel.weight((tap + begin - centre + 0.5) / widening);
      sum += exact[tap];
    }
    for (let tap = 0; tap < end - begin; tap++) {
      const fixed = (exact[tap] / sum) * 2 ** WEIGHT_BITS;
      weights[position * stride + tap] = Math.trunc(fixed + (fixed < 0 ? -0.5 : 0.5));
    }
    first[position] = begin;
    count[position] = end - begin;
  }
  return { first, count, weights, stride };
}

const HALF = 2 ** (WEIGHT_BITS - 1);

function toByte(sum: number): number {
  const value = sum >> WEIGHT_BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/** [height, width, 3] → [height, toWidth, 3]. */
function resizeRows(
  source: Uint8Array,
  width: number,
  height: number,
  target: Uint8Array,
  toWidth: number,
  taps: Taps,
): void {
  for (let x = 0; x < toWidth; x++) {
    const begin = taps.first[x];
    const count = taps.count[x];
    const weightBase = x * taps.stride;
    for (let y = 0; y < height; y++) {
      let from = (y * width + begin) * 3;
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      for (let tap = 0; tap < count; tap++) {
        const weight = taps.weights[weightBase + tap];
        red += Math.imul(source[from], weight);
        green += Math.imul(source[from + 1], weight);
        blue += Math.imul(source[from + 2], weight);
        from += 3;
      }
      const to = (y * toWidth + x) * 3;
      target[to] = toByte(red);
      target[to + 1] = toByte(green);
      target[to + 2] = toByte(blue);
    }
  }
}

/** [height, rowBytes] → [toHeight, rowBytes]. */
function resizeColumns(
  source: Uint8Array,
  rowBytes: number,
  target: Uint8Array,
  toHeight: number,
  taps: Taps,
): void {
  for (let y = 0; y < toHeight; y++) {
    const count = taps.count[y];
    const weights = taps.weights.subarray(y * taps.stride, y * taps.stride + count);
    const top = taps.first[y] * rowBytes;
    const to = y * rowBytes;
    for (let i = 0; i < rowBytes; i++) {
      let sum = HALF;
      for (let tap = 0, from = top + i; tap < count; tap++, from += rowBytes) {
        sum += Math.imul(source[from], weights[tap]);
      }
      target[to + i] = toByte(sum);
    }
  }
}
