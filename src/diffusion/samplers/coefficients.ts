import type { FloatTensor } from '../../tensor/host-tensor.ts';
import { type NoiseLevels, noiseLevels, originalFromPrediction } from '../prediction.ts';
import type { NoiseSchedule } from '../schedule.ts';
import { SchedulerError } from '../scheduler-config.ts';

/**
 * The timestep that a step from `timestep` is computed to reach: timestep − ⌊T/steps⌋. Where T/steps is not whole
 * this is *not* the next entry of the trailing grid (30 steps: 33 apart here, 33.33 there), and with some
 * counts the last step ends at t = 0 instead of beyond it. Upstream does this, and trajectories depend on it.
 */
export function reachedTimestep(schedule: NoiseSchedule, timestep: number, steps: number): number {
  return timestep - Math.floor(schedule.config.trainTimesteps / steps);
}

/** The sampling grid, refused where the network predicts ε at a timestep without signal: x0 is lost there. */
export function samplerTimesteps(schedule: NoiseSchedule, steps: number): number[] {
  const timesteps = schedule.timesteps(steps);
  const lost = timesteps.find((timestep) => schedule.alphaCumprod(timestep) === 0);
  if (schedule.config.predictionType !== 'epsilon' || lost === undefined) return timesteps;
  throw new SchedulerError({
    where: `sampling at timestep ${lost}`,
    expected: 'a prediction type that is defined without signal (alphaCumprod = 0)',
    got: 'epsilon',
    hint: 'a schedule with rescale_betas_zero_snr needs prediction_type v_prediction or sample',
  });
}

/** Throws {@link SchedulerError} unless every coefficient is a finite number. */
export function requireFinite<T extends object>(where: string, coefficients: T): T {
  for (const [name, value] of Object.entries(coefficients)) {
    if (Number.isFinite(value)) continue;
    throw new SchedulerError({ where, expected: `a finite ${name}`, got: String(value) });
  }
  return coefficients;
}

/** x0 from the model's output for a batch that stands at one timestep. [B, …] */
export function originalAt(
  schedule: NoiseSchedule,
  timestep: number,
  modelOutput: FloatTensor,
  sample: FloatTensor,
): FloatTensor {
  const levels: NoiseLevels = noiseLevels(schedule, new Array<number>(sample.shape[0]).fill(timestep));
  return originalFromPrediction(schedule.config.predictionType, modelOutput, sample, levels);
}
