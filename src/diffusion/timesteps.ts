import type { RandomStream } from '../tensor/random.ts';
import { SchedulerError, type TimestepSpacing } from './scheduler-config.ts';

/** Round half to even, as NumPy does; Math.round would move 937.5-like grid points the other way. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Throws {@link SchedulerError} unless `steps` is an integer in 1 … trainTimesteps. */
function checkStepCount(steps: number, trainTimesteps: number): void {
  if (Number.isInteger(steps) && steps >= 1 && steps <= trainTimesteps) return;
  throw new SchedulerError({
    where: 'sampling steps',
    expected: `an integer from 1 to ${trainTimesteps}, the number of training timesteps`,
    got: String(steps),
  });
}

/**
 * The descending grid of `steps` timesteps in 0 … trainTimesteps − 1 (Lin et al. 2023, "Common Diffusion Noise
 * Schedules and Sample Steps are Flawed", table 2). The arithmetic follows numpy.arange and numpy.linspace
 * operation by operation, because grid points that fall on one half are rounded.
 *
 * One departure: for some trailing step counts (61, 103, … of 1000) numpy.arange returns one entry too many, and
 * upstream then runs an extra step at the impossible timestep −1. Here the grid always has `steps` entries.
 */
export function timestepGrid(
  spacing: TimestepSpacing,
  steps: number,
  trainTimesteps: number,
  stepsOffset: number,
): number[] {
  checkStepCount(steps, trainTimesteps);
  const grid = Array.from({ length: steps }, (_, index) => {
    if (spacing === 'trailing') {
      const increment = trainTimesteps - trainTimesteps / steps - trainTimesteps;
      return roundHalfEven(trainTimesteps + index * increment) - 1;
    }
    const ascending = steps - 1 - index;
    if (spacing === 'leading') return ascending * Math.floor(trainTimesteps / steps) + stepsOffset;
    if (steps === 1) return 0;
    if (index === 0) return trainTimesteps - 1;
    return roundHalfEven(ascending * ((trainTimesteps - 1) / (steps - 1)));
  });
  if (grid[0] >= trainTimesteps) {
    throw new SchedulerError({
      where: 'steps_offset',
      expected: `timesteps below ${trainTimesteps}`,
      got: `${grid[0]} with ${steps} steps and offset ${stepsOffset}`,
      hint: 'use fewer steps, a smaller offset, or trailing spacing',
    });
  }
  return grid;
}

/**
 * A training timestep of 0 … T − 1 with density proportional to t^bias, by inversion: t = ⌊T·u^(1/(1 + bias))⌋.
 * With 0 it is uniform; with 0.5 the noisier half gets 65 % of the draws, with 1 three quarters. What is large in a
 * video is decided at high noise: which subject, where, how it moves.
 */
export function drawTimestep(stream: RandomStream, count: number, bias: number): number {
  // As the release draws them, so that runs of before can be replayed.
  if (bias === 0) return stream.integer(count);
  return Math.min(count - 1, Math.floor(count * stream.uniform() ** (1 / (1 + bias))));
}
