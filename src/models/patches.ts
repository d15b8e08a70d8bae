import type { Value } from '../graph/index.ts';
import * as g from '../graph/index.ts';
import type { ParameterScope } from '../nn/parameters.ts';

/**
 * Patch embedding of vision transformers, a convolution whose stride is its kernel, as one product:
 * images [B, C, H, W] → [B, N, D], patches row by row. Pixels that fill no whole patch at the right and
 * bottom edge are left out, as the convolution does. `weight` is [D, C, p, p].
 */
export function patchEmbedding(
  scope: ParameterScope,
  images: Value,
  patch: number,
  width: number,
  { bias }: { bias: boolean },
): Value {
  const [batch, channels, height, imageWidth] = images.shape;
  const [rows, columns] = [Math.floor(height / patch), Math.floor(imageWidth / patch)];
  const whole = g.slice(g.slice(images, 2, 0, rows * patch), 3, 0, columns * patch);
  const split = g.reshape(whole, [batch, channels, rows, patch, columns, patch]);
  const size = channels * patch * patch;
  const patches = g.reshape(g.transpose(split, [0, 2, 4, 1, 3, 5]), [batch, rows * columns, size]);
  const kernel = g.reshape(scope.get('weight', [width, channels, patch, patch]), [width, size]);
  return g.linear(patches, kernel, bias ? scope.get('bias', [width]) : undefined); // [B, N, D]
}

/**
 * Patch embedding with patches that overlap: images [B, C, H, W] → [B, N, D], one patch every `stride` pixels, row by
 * row. `weight` is [D, C, p, p].
 */
export function overlappingPatchEmbedding(
  scope: ParameterScope,
  images: Value,
  patch: number,
  stride: number,
  width: number,
): Value {
  const weight = scope.get('weight', [width, images.shape[1], patch, patch]);
  const grid = g.conv2d(images, weight, { stride }); // [B, D, rows, columns]
  return g.transpose(g.reshape(grid, [images.shape[0], width, -1]), [0, 2, 1]);
}

/** Puts one learned token in front of each sequence: [B, N, D] → [B, 1 + N, D]. */
export function prependToken(token: Value, patches: Value): Value {
  const [batch, , width] = patches.shape;
  return g.concat([g.expand(g.reshape(token, [1, 1, width]), [batch, 1, width]), patches], 1);
}
