import type { Value } from '../graph/index.ts';
import * as g from '../graph/index.ts';

/** Rows scaled to length 1: [..., E] → [..., E]. */
export function unitLength(x: Value): Value {
  return g.div(x, g.sqrt(g.sum(g.square(x), [-1], true)));
}

/**
 * CLIP's similarity of every image with every text: features [Bi, E] and [Bt, E] (any length) and the log of
 * the scale, a scalar → logits per image [Bi, Bt]; transposed they are the logits per text.
 */
export function contrastiveLogits(imageFeatures: Value, textFeatures: Value, logScale: Value): Value {
  const cosines = g.matmul(unitLength(imageFeatures), unitLength(textFeatures), { transposeB: true });
  return g.mul(cosines, g.exp(logScale));
}
