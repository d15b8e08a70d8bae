import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import { type FloatTensor, floats } from '../../tensor/host-tensor.ts';
import { STRIDE } from './config.ts';

/** Rows of linear interpolation that keeps both end points: [to, from]. */
export function endToEndWeights(from: number, to: number): FloatTensor {
  const data = new Float32Array(to * from);
  for (let i = 0; i < to; i++) {
    const place = (i * (from - 1)) / (to - 1);
    const left = Math.min(Math.floor(place), from - 2);
    data[i * from + left] = 1 - (place - left);
    data[i * from + left + 1] = place - left;
  }
  return floats([to, from], data);
}

/** Flow at full resolution by bilinear interpolation: [B, 2, h, w] → [B, 2, 8h, 8w]. */
export function bilinearUpsample(flow: Value): Value {
  const [, , height, width] = flow.shape;
  const vertical = g.constant(endToEndWeights(height, STRIDE * height));
  const horizontal = g.constant(endToEndWeights(width, STRIDE * width));
  const tall = g.matmul(vertical, flow); // [B, 2, 8h, w]
  return g.mul(g.matmul(tall, horizontal, { transposeB: true }), STRIDE);
}

/**
 * Flow at full resolution as convex combinations of each pixel's 3 × 3 neighbours: flow [B, 2, h, w], mask
 * [B, 9·64, h, w] → [B, 2, 8h, 8w].
 */
export function convexUpsample(flow: Value, mask: Value): Value {
  const [batch, , height, width] = flow.shape;
  const pixels = height * width;
  const scaled = g.pad(g.pad(g.mul(flow, STRIDE), 2, 1, 1), 3, 1, 1);
  const neighbours = Array.from({ length: 9 }, (_, i) => {
    const [row, column] = [Math.floor(i / 3), i % 3];
    const shifted = g.slice(g.slice(scaled, 2, row, row + height), 3, column, column + width);
    return g.reshape(shifted, [batch, 2, 1, pixels]);
  });
  const values = g.transpose(g.concat(neighbours, 2), [0, 3, 2, 1]); // [B, N, 9, 2]
  const perPixel = g.transpose(g.reshape(mask, [batch, 9, STRIDE * STRIDE, pixels]), [0, 3, 2, 1]);
  const combined = g.matmul(g.softmax(perPixel), values); // [B, N, 64, 2]
  const blocks = g.reshape(combined, [batch, height, width, STRIDE, STRIDE, 2]);
  const image = g.transpose(blocks, [0, 5, 1, 3, 2, 4]); // [B, 2, h, 8, w, 8]
  return g.reshape(image, [batch, 2, STRIDE * height, STRIDE * width]);
}
