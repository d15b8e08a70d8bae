import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import type { ParameterScope } from '../../nn/parameters.ts';
import type { Dimension } from './names.ts';
import type { DualRealOptions } from './options.ts';

/**
 * output + both adapters of a site in their fused form (see fuseAdapters in fold.ts): one down and one up
 * projection instead of two each. `weights` are ω of each dimension, [B, 1, 1]; h is [B, T, D].
 */
export function addFusedAdapters(
  scope: ParameterScope,
  weights: Readonly<Record<Dimension, Value>>,
  output: Value,
  h: Value,
  options: DualRealOptions,
): Value {
  const [batch, tokens, width] = h.shape;
  const both = 2 * options.bottleneck;
  const down = scope.at('down_linear');
  const projected = g.linear(h, down.get('weight', [both, width]), down.get('bias', [both]));
  const pair = g.concat([weights.identity, weights.motion], 2); // [B, 1, 2]
  const perFeature = g.reshape(g.expand(g.reshape(pair, [batch, 2, 1]), [batch, 2, options.bottleneck]), [
    batch,
    1,
    both,
  ]);
  const hidden = g.reshape(g.mul(g.gelu(projected), perFeature), [batch * tokens, both]);
  const up = scope.at('up_linear');
  const sum = g.gemm(
    hidden,
    up.get('weight', [width, both]),
    { transposeB: true },
    g.reshape(output, [batch * tokens, width]),
  );
  const bias = g.matmul(pair, up.get('bias', [2, width])); // [B, 1, D]
  const rest = options.skip ? g.add(g.mul(h, options.weightTotal), bias) : bias;
  return g.add(g.reshape(sum, [batch, tokens, width]), rest);
}
