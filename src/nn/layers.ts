import type { Value } from '../graph/index.ts';
import * as g from '../graph/index.ts';
import type { ParameterScope } from './parameters.ts';

/** x [..., in] → [..., out] with `weight` [out, in] and, unless `bias` is false, `bias` [out]. */
export function linear(scope: ParameterScope, x: Value, out: number, { bias = true } = {}): Value {
  const inner = x.shape.at(-1)!;
  return g.linear(x, scope.get('weight', [out, inner]), bias ? scope.get('bias', [out]) : undefined);
}

/** LayerNorm over the last axis with `weight` and `bias`. */
export function layerNorm(scope: ParameterScope, x: Value, epsilon: number): Value {
  const shape = [x.shape.at(-1)!];
  return g.layerNorm(x, scope.get('weight', shape), scope.get('bias', shape), epsilon);
}

/** [B, N, H·d] → [B, H, N, d]. */
export function splitHeads(x: Value, heads: number): Value {
  const [batch, tokens, width] = x.shape;
  return g.transpose(g.reshape(x, [batch, tokens, heads, width / heads]), [0, 2, 1, 3]);
}

/** [B, H, N, d] → [B, N, H·d]. */
export function mergeHeads(x: Value): Value {
  const [batch, heads, tokens, headDim] = x.shape;
  return g.reshape(g.transpose(x, [0, 2, 1, 3]), [batch, tokens, heads * headDim]);
}
