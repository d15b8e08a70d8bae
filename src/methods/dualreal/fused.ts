import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import type { ParameterScope } from '../../nn/parameters.ts';
import { addJointAdapters } from './adapter.ts';
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
  const width = h.shape[2];
  const both = 2 * options.bottleneck;
  const down = scope.at('down_linear');
  const up = scope.at('up_linear');
  return addJointAdapters(output, h, {
    projected: g.linear(h, down.get('weight', [both, width]), down.get('bias', [both])),
    weights: [weights.identity, weights.motion],
    up: up.get('weight', [width, both]),
    upBiases: up.get('bias', [2, width]),
    skip: options.skip ? options.weightTotal : 0,
  });
}
