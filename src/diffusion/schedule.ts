import { bf16ToNumber, numberToBf16 } from '../tensor/dtype.ts';
import { parseSchedulerConfig, type SchedulerConfig, SchedulerError } from './scheduler-config.ts';
import { timestepGrid } from './timesteps.ts';

/**
 * The variance-preserving forward process x_t = √ᾱ_t·x0 + √(1−ᾱ_t)·ε at training timesteps t = 0 … T−1.
 * Tables are float64.
 */
export interface NoiseSchedule {
  readonly config: SchedulerConfig;
  /** β_t as configured, before the shift and rescaling of ᾱ. [T] */
  readonly betas: Float64Array;
  /** ᾱ_t = Π (1 − β), then the SNR shift, then the zero-terminal-SNR rescale. [T] */
  readonly alphasCumprod: Float64Array;
  /** ᾱ_t; any negative t means "beyond the last step": 1, or ᾱ_0 where the config says so. */
  alphaCumprod(timestep: number): number;
  /** The descending grid of sampling timesteps. Throws {@link SchedulerError} for a bad step count. */
  timesteps(steps: number): number[];
}

/**
 * Builds the schedule of a checked config. Upstream: the constructors of diffusers CogVideoXDDIMScheduler and
 * CogVideoXDPMScheduler. The scaled-linear table is made in float64 there and stays so; the linear and the
 * trained table are float32 there, so every operation on them is rounded to float32 here.
 */
export function createNoiseSchedule(config: SchedulerConfig): NoiseSchedule {
  const length = config.trainTimesteps;
  const isFloat64 = config.trainedBetas === null && config.betaSchedule === 'scaled_linear';
  const round = isFloat64 ? (value: number) => value : Math.fround;
  const betas = Float64Array.from({ length }, (_, t) => round(betaAt(config, t)));
  const alphasCumprod = new Float64Array(length);
  let product = 1;
  for (let t = 0; t < length; t++) {
    product *= round(1 - betas[t]);
    alphasCumprod[t] = round(product);
  }
  const shift = config.snrShiftScale;
  for (let t = 0; t < length; t++) {
    const divisor = round(shift + round((1 - shift) * alphasCumprod[t]));
    alphasCumprod[t] = round(alphasCumprod[t] / divisor);
  }
  if (config.zeroTerminalSnr) rescaleToZeroTerminalSnr(alphasCumprod, round);
  const finalAlphaCumprod = config.setAlphaToOne ? 1 : alphasCumprod[0];
  return {
    config,
    betas,
    alphasCumprod,
    alphaCumprod: (timestep) => {
      if (timestep < 0) return finalAlphaCumprod;
      if (Number.isInteger(timestep) && timestep < length) return alphasCumprod[timestep];
      throw new SchedulerError({
        where: 'timestep',
        expected: `an integer below ${length}`,
        got: String(timestep),
      });
    },
    timesteps: (steps) => timestepGrid(config.timestepSpacing, steps, length, config.stepsOffset),
  };
}

/** Reads a diffusers scheduler_config.json, already parsed as JSON, into a schedule. */
export function parseNoiseSchedule(json: unknown, source?: string): NoiseSchedule {
  return createNoiseSchedule(parseSchedulerConfig(json, source));
}

/** The ᾱ table rounded to bfloat16, as upstream rounds it before it noises bfloat16 samples. [T] */
export function alphasCumprodAsBf16(schedule: NoiseSchedule): Float64Array {
  return schedule.alphasCumprod.map((value) => bf16ToNumber(numberToBf16(value)));
}

function betaAt(config: SchedulerConfig, t: number): number {
  if (config.trainedBetas) return config.trainedBetas[t];
  const { betaStart, betaEnd, trainTimesteps } = config;
  if (config.betaSchedule === 'linear') return between(betaStart, betaEnd, t, trainTimesteps);
  return between(Math.sqrt(betaStart), Math.sqrt(betaEnd), t, trainTimesteps) ** 2;
}

/** Entry `index` of `count` evenly spaced values, the second half counted from the end so that it is exact. */
function between(start: number, end: number, index: number, count: number): number {
  const step = count > 1 ? (end - start) / (count - 1) : 0;
  return index < count / 2 ? start + step * index : end - step * (count - 1 - index);
}

/**
 * Shifts and scales √ᾱ so that its last entry is exactly 0 and its first stays (Lin et al. 2023, algorithm 1,
 * here on ᾱ itself and not on β).
 */
function rescaleToZeroTerminalSnr(alphasCumprod: Float64Array, round: (value: number) => number): void {
  const first = round(Math.sqrt(alphasCumprod[0]));
  const last = round(Math.sqrt(alphasCumprod[alphasCumprod.length - 1]));
  if (first === last) {
    throw new SchedulerError({
      where: 'rescale_betas_zero_snr',
      expected: 'at least two training timesteps of different noise level',
      got: `the same level at the first and the last of ${alphasCumprod.length}`,
    });
  }
  const scale = round(first / round(first - last));
  for (let t = 0; t < alphasCumprod.length; t++) {
    const root = round(round(round(Math.sqrt(alphasCumprod[t])) - last) * scale);
    alphasCumprod[t] = round(root * root);
  }
}
