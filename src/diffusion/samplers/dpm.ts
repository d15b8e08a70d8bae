import { ShapeError } from '../../tensor/errors.ts';
import { type FloatTensor, floats } from '../../tensor/host-tensor.ts';
import { formatShape, sameShape } from '../../tensor/shape.ts';
import type { NoiseSchedule } from '../schedule.ts';
import { originalAt, reachedTimestep, requireFinite, samplerTimesteps } from './coefficients.ts';
import { requireRunnable, type Sampler, type SamplerState } from './sampler.ts';

/**
 * x_s = sample·x_t + original·D + noise·z, where D = current·x0 + previous·x0_before is the x0 estimate carried
 * forward to the middle of the step. First-order steps have current 1 and previous 0.
 */
export interface DpmCoefficients {
  readonly order: 1 | 2;
  readonly sample: number;
  readonly original: number;
  readonly current: number;
  readonly previous: number;
  readonly noise: number;
}

/** λ = log(√ᾱ / √(1−ᾱ)): −∞ where no signal is left, +∞ where no noise is left. */
function halfLogSnr(alphaCumprod: number): number {
  return Math.log(Math.sqrt(alphaCumprod / (1 - alphaCumprod)));
}

/**
 * SDE-DPM-Solver++ of order 2, multistep (Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling of
 * Diffusion Probabilistic Models", section "SDE-DPM-Solver++(2M)"). With h = λ' − λ and r = (λ − λ_before) / h:
 *
 *     x' = √((1−ᾱ')/(1−ᾱ))·e^(−h)·x + √ᾱ'·(1 − e^(−2h))·D + √(1−ᾱ')·√(1 − e^(−2h))·z
 *     D  = (1 + 1/2r)·x0 − (1/2r)·x0_before
 *
 * Infinite λ need no special case. At ᾱ = 0, λ is −∞, so h is +∞ and x' = √ᾱ'·x0 + √(1−ᾱ')·z; one step later
 * r is +∞ and D is x0. At ᾱ' = 1, h is +∞ again and x' = x0.
 *
 * @param alphaCumprodBefore ᾱ of the step before; undefined makes a first-order step.
 */
function dpmCoefficients(
  alphaCumprod: number,
  reachedAlphaCumprod: number,
  alphaCumprodBefore: number | undefined,
): DpmCoefficients {
  const lambda = halfLogSnr(alphaCumprod);
  const h = halfLogSnr(reachedAlphaCumprod) - lambda;
  const replaced = -Math.expm1(-2 * h);
  const shared = {
    sample: Math.sqrt((1 - reachedAlphaCumprod) / (1 - alphaCumprod)) * Math.exp(-h),
    original: Math.sqrt(reachedAlphaCumprod) * replaced,
    noise: Math.sqrt(1 - reachedAlphaCumprod) * Math.sqrt(replaced),
  };
  if (alphaCumprodBefore === undefined) return { order: 1, ...shared, current: 1, previous: 0 };
  const r = (lambda - halfLogSnr(alphaCumprodBefore)) / h;
  return { order: 2, ...shared, current: 1 + 1 / (2 * r), previous: -1 / (2 * r) };
}

/** The coefficients of every step of the sampler below. Throws SchedulerError where one is not finite. */
export function dpmSchedule(schedule: NoiseSchedule, steps: number): DpmCoefficients[] {
  const timesteps = samplerTimesteps(schedule, steps);
  return timesteps.map((timestep, index) => {
    const reached = reachedTimestep(schedule, timestep, steps);
    const isSecondOrder = index > 0 && reached >= 0;
    return requireFinite(
      `dpm step at ${timestep}`,
      dpmCoefficients(
        schedule.alphaCumprod(timestep),
        schedule.alphaCumprod(reached),
        isSecondOrder ? schedule.alphaCumprod(timesteps[index - 1]) : undefined,
      ),
    );
  });
}

/**
 * The stochastic sampler of diffusers CogVideoXDPMScheduler as its pipeline drives it: the first step, and any
 * step that ends beyond t = 0, is of first order. Upstream draws noise for the first-order update and again for
 * the second-order one, and the first draw then goes unused.
 */
export function createDpmSampler(schedule: NoiseSchedule, steps: number): Sampler {
  const timesteps = samplerTimesteps(schedule, steps);
  const coefficients = dpmSchedule(schedule, steps);
  return {
    kind: 'dpm',
    timesteps,
    initialState: (noise) => ({ stepIndex: 0, sample: noise }),
    noiseDraws: (stepIndex) => coefficients[stepIndex].order,
    step(state, modelOutput, noiseSource) {
      requireRunnable('dpm', steps, state);
      const { stepIndex, sample } = state;
      const original = originalAt(schedule, timesteps[stepIndex], modelOutput, sample);
      const noise = noiseSource(stepIndex, sample.shape);
      if (!sameShape(noise.shape, sample.shape)) {
        throw new ShapeError({
          where: `noise of dpm step ${stepIndex}`,
          expected: formatShape(sample.shape),
          got: formatShape(noise.shape),
        });
      }
      const next = dpmUpdate(coefficients[stepIndex], state, original, noise);
      return { state: { stepIndex: stepIndex + 1, sample: next, previousOriginal: original }, original };
    },
  };
}

function dpmUpdate(
  weight: DpmCoefficients,
  state: SamplerState,
  original: FloatTensor,
  noise: FloatTensor,
): FloatTensor {
  const { sample, previousOriginal } = state;
  const next = new Float32Array(sample.data.length);
  const current = weight.original * weight.current;
  const previous = weight.original * weight.previous;
  for (let i = 0; i < next.length; i++) {
    const before = previousOriginal && weight.order === 2 ? previous * previousOriginal.data[i] : 0;
    next[i] =
      weight.sample * sample.data[i] + current * original.data[i] + before + weight.noise * noise.data[i];
  }
  return floats(sample.shape, next); // [B, …]
}
