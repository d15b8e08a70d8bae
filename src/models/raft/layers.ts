import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import type { ParameterScope } from '../../nn/parameters.ts';

const NORM_EPSILON = 1e-5;

export type RaftNorm = 'instance' | 'batch' | 'none';

/** Convolution with padding that keeps the size at stride 1: [B, C, H, W] → [B, out, ⌈H/stride⌉, ⌈W/stride⌉]. */
export function convolution(
  scope: ParameterScope,
  x: Value,
  out: number,
  [height, width]: readonly [number, number],
  stride = 1,
): Value {
  const weight = scope.get('weight', [out, x.shape[1], height, width]);
  const [vertical, horizontal] = [height >> 1, width >> 1];
  const padding = [vertical, horizontal, vertical, horizontal] as const;
  return g.conv2d(x, weight, { bias: scope.get('bias', [out]), stride, padding });
}

/** Normalisation of [B, C, H, W]; batch statistics are the stored ones. */
export function normalization(kind: RaftNorm, scope: ParameterScope, x: Value): Value {
  if (kind === 'none') return x;
  const [batch, channels, height, width] = x.shape;
  if (kind === 'instance') {
    const flat = g.normalize(g.reshape(x, [batch, channels, height * width]), NORM_EPSILON);
    return g.reshape(flat, x.shape);
  }
  const [mean, variance, gain, shift] = ['running_mean', 'running_var', 'weight', 'bias'].map((name) =>
    scope.get(name, [channels]),
  );
  const scale = g.div(gain, g.sqrt(g.add(variance, NORM_EPSILON)));
  const perChannel = (value: Value) => g.reshape(value, [1, channels, 1, 1]);
  return g.add(g.mul(x, perChannel(scale)), perChannel(g.sub(shift, g.mul(mean, scale))));
}
