import type { Value } from '../graph/index.ts';
import * as g from '../graph/index.ts';
import type { ParameterScope } from './parameters.ts';

/** x [B, C, H, W] → [B, out, H′, W′] with `weight` [out, C, kernel, kernel] and `bias` [out], for each frame. */
export function conv2dFrames(
  scope: ParameterScope,
  frames: readonly Value[],
  out: number,
  kernel: number,
  options: Omit<g.ConvolutionOptions, 'bias'>,
): readonly Value[] {
  const weight = scope.get('weight', [out, frames[0].shape[1], kernel, kernel]);
  const bias = scope.get('bias', [out]);
  const taps = frames.map((_, f) => [f]);
  return g.convolveFrames(frames, weight, taps, { ...options, bias });
}

/**
 * A 3 × 3 × 3 convolution that sees only the present and the past: `before` are the two frames that precede
 * `frames`. `weight` [out, C, 3, 3, 3] and `bias` [out]; frames [B, C, H, W] → [B, out, H, W].
 */
export function causalConv3d(
  scope: ParameterScope,
  before: readonly [Value, Value],
  frames: readonly Value[],
  out: number,
): readonly Value[] {
  const weight = scope.get('weight', [out, frames[0].shape[1], 3, 3, 3]);
  const bias = scope.get('bias', [out]);
  const taps = frames.map((_, f) => [f, f + 1, f + 2]);
  return g.convolveFrames([...before, ...frames], weight, taps, { bias, padding: 1 });
}

/** A 1 × 1 convolution of an image x [B, C, H, W], weights as [out, C] → [B, out, H, W]. */
export function pointwise(x: Value, weight: Value, bias: Value): Value {
  const [batch, inner, height, width] = x.shape;
  const out = weight.shape[0];
  const flat = g.matmul(weight, g.reshape(x, [batch, inner, height * width]));
  return g.reshape(g.add(flat, g.reshape(bias, [out, 1])), [batch, out, height, width]);
}
