import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import { layerNorm, linear } from '../../nn/layers.ts';
import type { ParameterScope } from '../../nn/parameters.ts';
import type { DualRealOptions } from './options.ts';

const NORM_EPSILON = 1e-5;
const FUSION_WIDTH = 128;

/**
 * StageBlender Controller (paper Eq. 7–12; DR model/dit.py controller): from the embedded tokens
 * [B, T, D] before block 0 and the time embedding [B, E], the share ω [B, n] of each depth group, in
 * (floor, 1 − floor) of weightTotal.
 */
export function stageBlender(
  scope: ParameterScope,
  tokens: Value,
  timeEmbedding: Value,
  options: DualRealOptions,
): Value {
  const width = timeEmbedding.shape[1];
  const pooled = options.pooling === 'max' ? g.max(tokens, [1]) : g.mean(tokens, [1]); // [B, D]
  const channels = linear(scope.at('channel_encoder', 0), pooled, width); // [B, E]
  const modulation = linear(scope.at('timestep_encoder', 1), g.silu(timeEmbedding), 3 * width);
  const [shift, scale, gate] = g.chunk(modulation, 1, 3);
  const modulate = (x: Value) => g.add(g.mul(x, g.add(scale, 1)), shift);
  const mlp = (x: Value) =>
    linear(scope.at('fuse_proj_down'), g.geluTanh(linear(scope.at('fuse_proj'), x, 4 * width)), width);
  const normed = layerNorm(scope.at('norm'), channels, NORM_EPSILON);
  const fused = options.controllerOrder === 'modulate-mlp' ? mlp(modulate(normed)) : modulate(mlp(normed));
  const blended = g.relu(g.add(fused, g.mul(gate, channels)));
  const narrow = g.relu(linear(scope.at('fusion_net', 1), blended, FUSION_WIDTH));
  const logits = linear(scope.at('fusion_net', 3), narrow, options.groups); // [B, n]
  const share = options.weightActivation === 'sigmoid' ? g.sigmoid(logits) : g.softmax(logits);
  const { weightFloor, weightTotal } = options;
  if (weightFloor === 0) return g.mul(share, weightTotal);
  return g.add(g.mul(share, weightTotal * (1 - 2 * weightFloor)), weightTotal * weightFloor);
}
