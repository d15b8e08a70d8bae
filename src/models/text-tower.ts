import type { Value } from '../graph/index.ts';
import * as g from '../graph/index.ts';
import { floats } from '../tensor/host-tensor.ts';

/** Added to scores of keys that must not be seen: the lowest f32, as upstream. */
export const MASKED = -3.4028234663852886e38;

/** Scores bias that hides later tokens: [1, 1, S, S]. */
export function causalBias(tokens: number): Value {
  const data = new Float32Array(tokens * tokens);
  for (let query = 0; query < tokens; query++) {
    data.fill(MASKED, query * tokens + query + 1, (query + 1) * tokens);
  }
  return g.constant(floats([1, 1, tokens, tokens], data));
}

/** Scores bias that hides padding: f32 mask [B, S] of ones and zeros → [B, 1, 1, S]. */
export function paddingBias(mask: Value): Value {
  const [batch, tokens] = mask.shape;
  return g.reshape(g.mul(g.sub(1, mask), MASKED), [batch, 1, 1, tokens]);
}

/**
 * The state at each row's first position of the highest id, which is the end token in CLIP vocabularies:
 * states [B, S, D], i64 ids [B, S] → [B, D]. Exact for ids up to 2²⁴ / S.
 */
export function poolAtHighestId(states: Value, ids: Value): Value {
  const [batch, tokens] = ids.shape;
  const positions = g.constant(
    floats(
      [1, tokens],
      Float32Array.from({ length: tokens }, (_, i) => i),
    ),
  );
  // Unique in its row: the id decides, then the earlier position.
  const rank = g.sub(g.mul(g.cast(ids, 'f32'), tokens), positions);
  const hit = g.where(g.equal(rank, g.max(rank, [1], true)), 1, 0); // [B, S]
  return g.sum(g.mul(states, g.reshape(hit, [batch, tokens, 1])), [1]);
}
