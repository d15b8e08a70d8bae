import type { Value } from '../graph/index.ts';
import * as g from '../graph/index.ts';
import type { BatchShape } from './objective.ts';

/** Input `mask` [B, f, 1, h, w]: ones on the latent grid where the subject is. */
export function maskInput({ batch, latentFrames, latentHeight, latentWidth }: BatchShape): Value {
  return g.input('mask', [batch, latentFrames, 1, latentHeight, latentWidth]);
}

/**
 * Squared error inside the mask, for an error [B, f, C, h, w]. 'elements' divides by the number of all
 * elements (DreamVideo, VGen diffusion_ddim.py), so that small subjects weigh less; 'positions' by the
 * number of masked positions without their channels (MotionBooth, scripts/utils.py), so that the result is C
 * times a mean. An empty mask gives 0.
 */
export function regionLoss(error: Value, mask: Value, divisor: 'elements' | 'positions'): Value {
  const squared = g.square(g.mul(error, mask));
  if (divisor === 'elements') return g.mean(squared);
  return g.div(g.sum(squared), g.maximum(g.sum(mask), 1));
}
