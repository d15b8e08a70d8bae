import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import { floats } from '../../tensor/host-tensor.ts';

/** Mean over rows of −log softmax(logits)[target]: logits [B, K], targets [B, K] that sum to 1 in each row. */
export function crossEntropy(logits: Value, targets: Value): Value {
  const shifted = g.sub(logits, g.max(logits, [-1], true));
  const logSums = g.log(g.sum(g.exp(shifted), [-1])); // [B]
  return g.mean(g.sub(logSums, g.sum(g.mul(shifted, targets), [-1])));
}

/** Each row's own column: logits [B, B] of pairs → the mean of both directions' cross entropies. */
export function pairLoss(logits: Value): Value {
  const own = identity(logits.shape[0]);
  return g.mul(0.5, g.add(crossEntropy(logits, own), crossEntropy(g.transposeLast(logits), own)));
}

/** Share of rows whose own column is the largest. */
export function pairAccuracy(logits: Value): Value {
  const own = g.sum(g.mul(logits, identity(logits.shape[0])), [-1]);
  return g.mean(g.where(g.greaterOrEqual(own, g.max(logits, [-1])), 1, 0));
}

function identity(size: number): Value {
  const data = new Float32Array(size * size);
  for (let i = 0; i < size; i++) data[i * size + i] = 1;
  return g.constant(floats([size, size], data));
}
