import type { RandomStream } from '../../../tensor/random.ts';

/**
 * A training timestep of 0 … T − 1 with density proportional to t^bias, by inversion: t = ⌊T·u^(1/(1 + bias))⌋.
 * With 0 it is uniform; with 0.5 the noisier half gets 65 % of the draws, with 1 three quarters. What a small
 * model lacks is decided at high noise: which subject, where, how it moves.
 */
export function drawTimestep(stream: RandomStream, count: number, bias: number): number {
  return Math.min(count - 1, Math.floor(count * stream.uniform() ** (1 / (1 + bias))));
}
