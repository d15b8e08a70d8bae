import { type FloatTensor, floats } from '../../tensor/host-tensor.ts';
import type { NoiseSchedule } from '../schedule.ts';
import { originalAt, reachedTimestep, requireFinite, samplerTimesteps } from './coefficients.ts';
import { requireRunnable, type Sampler } from './sampler.ts';

/** x_s = sample·x_t + original·x0. */
interface DdimCoefficients {
  readonly sample: number;
  readonly original: number;
}

/**
 * DDIM from ᾱ to ᾱ' with η = 0 (Song, Meng and Ermon 2021, "Denoising Diffusion Implicit Models", equation 12),
 * with ε eliminated: x' = √((1−ᾱ')/(1−ᾱ))·(x − √ᾱ·x0) + √ᾱ'·x0.
 */
function ddimCoefficients(alphaCumprod: number, reachedAlphaCumprod: number): DdimCoefficients {
  const sample = Math.sqrt((1 - reachedAlphaCumprod) / (1 - alphaCumprod));
  return { sample, original: Math.sqrt(reachedAlphaCumprod) - Math.sqrt(alphaCumprod) * sample };
}

/**
 * The deterministic sampler of diffusers CogVideoXDDIMScheduler, which ignores η: no noise is drawn. Throws
 * SchedulerError where the schedule gives no finite coefficients.
 */
export function createDdimSampler(schedule: NoiseSchedule, steps: number): Sampler {
  const timesteps = samplerTimesteps(schedule, steps);
  const coefficients = timesteps.map((timestep) => {
    const reached = schedule.alphaCumprod(reachedTimestep(schedule, timestep, steps));
    return requireFinite(
      `ddim step at ${timestep}`,
      ddimCoefficients(schedule.alphaCumprod(timestep), reached),
    );
  });
  return {
    kind: 'ddim',
    timesteps,
    initialState: (noise) => ({ stepIndex: 0, sample: noise }),
    noiseDraws: () => 0,
    step(state, modelOutput) {
      requireRunnable('ddim', steps, state);
      const { stepIndex, sample } = state;
      const original = originalAt(schedule, timesteps[stepIndex], modelOutput, sample);
      const next = ddimUpdate(coefficients[stepIndex], sample, original);
      return { state: { stepIndex: stepIndex + 1, sample: next }, original };
    },
  };
}

function ddimUpdate(weight: DdimCoefficients, sample: FloatTensor, original: FloatTensor): FloatTensor {
  const next = new Float32Array(sample.data.length);
  for (let i = 0; i < next.length; i++) {
    next[i] = weight.sample * sample.data[i] + weight.original * original.data[i];
  }
  return floats(sample.shape, next); // [B, …]
}
