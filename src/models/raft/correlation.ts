import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import { floats } from '../../tensor/host-tensor.ts';
import { LEVELS } from './config.ts';

/**
 * All-pairs correlation of two feature maps [B, C, h, w], and coarser versions in which the second image's
 * axes are averaged in pairs: level i is [B·h·w, 1, h/2ⁱ, w/2ⁱ].
 */
export function correlationPyramid(first: Value, second: Value): Value[] {
  const [batch, channels, height, width] = first.shape;
  const [a, b] = [first, second].map((map) => g.reshape(map, [batch, channels, height * width]));
  const products = g.matmul(a, b, { transposeA: true, alpha: 1 / Math.sqrt(channels) });
  const levels = [g.reshape(products, [batch * height * width, 1, height, width])];
  while (levels.length < LEVELS) levels.push(halved(levels[levels.length - 1]));
  return levels;
}

/** Means of 2 × 2 pixels; an odd last row or column is left out. */
function halved(x: Value): Value {
  const [, , height, width] = x.shape;
  const even = g.slice(g.slice(x, 2, 0, height - (height % 2)), 3, 0, width - (width % 2));
  return g.mul(g.sumPool(even, 2), 0.25);
}

/**
 * Correlations around each pixel's place in the second image: places [B, 2, h, w] as (x, y) in pixels →
 * [B, levels·K², h, w] with K = 2·radius + 1. Upstream adds the window's row offset to x and its column offset to
 * y, a transposed window that its weights were trained with.
 */
export function lookUp(pyramid: readonly Value[], places: Value, radius: number): Value {
  const [batch, , height, width] = places.shape;
  const side = 2 * radius + 1;
  const centres = g.reshape(g.transpose(places, [0, 2, 3, 1]), [batch * height * width, 1, 1, 2]);
  const offsets = Array.from({ length: side * side }, (_, i) => [
    Math.floor(i / side) - radius,
    (i % side) - radius,
  ]);
  const window = g.constant(floats([1, side, side, 2], offsets.flat()));
  const samples = pyramid.map((level, i) => {
    const [, , rows, columns] = level.shape;
    const around = g.add(g.mul(centres, 1 / 2 ** i), window); // [B·h·w, K, K, 2]
    const toUnit = g.constant(floats([1, 1, 1, 2], [2 / (columns - 1), 2 / (rows - 1)]));
    const found = g.gridSample(level, g.sub(g.mul(around, toUnit), 1)); // [B·h·w, 1, K, K]
    return g.reshape(found, [batch, height * width, side * side]);
  });
  const joined = g.transpose(g.concat(samples, 2), [0, 2, 1]); // [B, levels·K², h·w]
  return g.reshape(joined, [batch, pyramid.length * side * side, height, width]);
}
