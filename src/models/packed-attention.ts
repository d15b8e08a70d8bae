import type { Value } from '../graph/index.ts';
import * as g from '../graph/index.ts';
import { mergeHeads, splitHeads } from '../nn/layers.ts';

/**
 * Multi-head self-attention with q, k and v in one matrix, before the output projection:
 * x [B, N, D], weight [3·D, D], bias [3·D] → [B, N, D].
 */
export function packedSelfAttention(
  x: Value,
  { weight, bias }: { weight: Value; bias: Value | undefined },
  heads: number,
  scoreBias?: Value,
): Value {
  const [q, k, v] = g.chunk(g.linear(x, weight, bias), 2, 3).map((part) => splitHeads(part, heads));
  return mergeHeads(g.attention(q, k, v, scoreBias ? { bias: scoreBias } : {}));
}
