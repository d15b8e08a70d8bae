import { bf16ToNumber, numberToBf16 } from '../tensor/dtype.ts';
import { ShapeError } from '../tensor/errors.ts';
import { type FloatTensor, floats } from '../tensor/host-tensor.ts';
import { formatShape, sameShape } from '../tensor/shape.ts';
import type { NoiseSchedule } from './schedule.ts';
import { type PredictionType, SchedulerError } from './scheduler-config.ts';

/**
 * The three quantities of the forward process at one noise level, with a = √ᾱ and b = √(1−ᾱ), a² + b² = 1:
 *
 *     x_t = a·x0 + b·ε          v = a·ε − b·x0          (Salimans and Ho 2022, appendix D)
 *     x0  = a·x_t − b·v         ε = b·x_t + a·v
 *
 * so (x_t, v) is (x0, ε) turned by an angle. Training upstream compares x0 with x̂0 = a·x_t − b·v̂, weighted by
 * 1/(1−ᾱ). As x0 − x̂0 = b·(v̂ − v), that loss is exactly the plain mean squared error of v.
 */
export interface NoiseLevels {
  /** a = √ᾱ, one per sample of the batch. [B] */
  readonly signal: Float64Array;
  /** b = √(1−ᾱ). [B] */
  readonly noise: Float64Array;
  /** bf16: every product and sum is rounded to bfloat16, as upstream does on bfloat16 tensors. */
  readonly arithmetic: 'f32' | 'bf16';
}

const toBf16 = (value: number): number => bf16ToNumber(numberToBf16(value));

/**
 * The noise levels of a batch. With 'bf16', ᾱ itself, 1 − ᾱ and both roots are rounded to bfloat16 first, so
 * that what follows repeats upstream on bfloat16 samples bit for bit.
 */
export function noiseLevels(
  schedule: NoiseSchedule,
  timesteps: ArrayLike<number>,
  arithmetic: 'f32' | 'bf16' = 'f32',
): NoiseLevels {
  const round = arithmetic === 'bf16' ? toBf16 : (value: number) => value;
  const alphas = Float64Array.from(Array.from(timesteps), (t) => round(schedule.alphaCumprod(t)));
  return {
    signal: alphas.map((alpha) => round(Math.sqrt(alpha))),
    noise: alphas.map((alpha) => round(Math.sqrt(round(1 - alpha)))),
    arithmetic,
  };
}

/** x_t = a·x0 + b·ε. All tensors [B, …]; throws {@link ShapeError} where they do not fit. */
export function addNoise(original: FloatTensor, noise: FloatTensor, levels: NoiseLevels): FloatTensor {
  return combine('addNoise', levels, levels.signal, original, 1, levels.noise, noise);
}

/** The training target v = a·ε − b·x0. */
export function velocityTarget(original: FloatTensor, noise: FloatTensor, levels: NoiseLevels): FloatTensor {
  return combine('velocityTarget', levels, levels.signal, noise, -1, levels.noise, original);
}

/** x0 = a·x_t − b·v. */
export function originalFromVelocity(
  velocity: FloatTensor,
  noisy: FloatTensor,
  levels: NoiseLevels,
): FloatTensor {
  return combine('originalFromVelocity', levels, levels.signal, noisy, -1, levels.noise, velocity);
}

/** ε = b·x_t + a·v. */
export function noiseFromVelocity(
  velocity: FloatTensor,
  noisy: FloatTensor,
  levels: NoiseLevels,
): FloatTensor {
  return combine('noiseFromVelocity', levels, levels.noise, noisy, 1, levels.signal, velocity);
}

/** x0 = (x_t − b·ε) / a. Throws {@link SchedulerError} where ᾱ = 0: nothing of x0 is left there. */
export function originalFromNoise(noise: FloatTensor, noisy: FloatTensor, levels: NoiseLevels): FloatTensor {
  const inverse = levels.signal.map((signal) => reciprocal(signal, 'x0 from predicted noise'));
  const ratio = levels.noise.map((b, sample) => b * inverse[sample]);
  return combine('originalFromNoise', levels, inverse, noisy, -1, ratio, noise);
}

/** ε = (x_t − a·x0) / b. Throws {@link SchedulerError} where ᾱ = 1. */
export function noiseFromOriginal(
  original: FloatTensor,
  noisy: FloatTensor,
  levels: NoiseLevels,
): FloatTensor {
  const inverse = levels.noise.map((b) => reciprocal(b, 'noise from x0'));
  const ratio = levels.signal.map((a, sample) => a * inverse[sample]);
  return combine('noiseFromOriginal', levels, inverse, noisy, -1, ratio, original);
}

/** x0 from whatever the network predicts. */
export function originalFromPrediction(
  type: PredictionType,
  modelOutput: FloatTensor,
  noisy: FloatTensor,
  levels: NoiseLevels,
): FloatTensor {
  if (type === 'v_prediction') return originalFromVelocity(modelOutput, noisy, levels);
  if (type === 'epsilon') return originalFromNoise(modelOutput, noisy, levels);
  requireSameShape('originalFromPrediction', noisy, modelOutput);
  return modelOutput;
}

/** 1/(1−ᾱ), the weight of the squared x0 error, from the unrounded table. Throws where ᾱ = 1. */
export function originalLossWeights(schedule: NoiseSchedule, timesteps: ArrayLike<number>): Float64Array {
  return Float64Array.from(Array.from(timesteps), (t) =>
    reciprocal(1 - schedule.alphaCumprod(t), `loss weight of timestep ${t}`),
  );
}

function reciprocal(value: number, where: string): number {
  if (value !== 0) return 1 / value;
  throw new SchedulerError({
    where,
    expected: 'a noise level where it is defined',
    got: 'a division by zero',
  });
}

function requireSameShape(where: string, a: FloatTensor, b: FloatTensor): void {
  if (sameShape(a.shape, b.shape)) return;
  throw new ShapeError({ where, expected: formatShape(a.shape), got: formatShape(b.shape) });
}

/** weights·x + sign·otherWeights·y, a weight per sample of the leading axis. */
function combine(
  where: string,
  levels: NoiseLevels,
  weights: Float64Array,
  x: FloatTensor,
  sign: 1 | -1,
  otherWeights: Float64Array,
  y: FloatTensor,
): FloatTensor {
  requireSameShape(where, x, y);
  if (x.shape[0] !== weights.length) {
    throw new ShapeError({
      where,
      expected: `a batch of ${weights.length}, the number of timesteps`,
      got: formatShape(x.shape),
    });
  }
  const result = new Float32Array(x.data.length);
  const perSample = result.length / weights.length;
  for (let sample = 0, i = 0; sample < weights.length; sample++) {
    const a = weights[sample];
    const b = sign * otherWeights[sample];
    const end = i + perSample;
    if (levels.arithmetic === 'f32') for (; i < end; i++) result[i] = a * x.data[i] + b * y.data[i];
    else for (; i < end; i++) result[i] = toBf16(toBf16(a * x.data[i]) + toBf16(b * y.data[i]));
  }
  return floats(x.shape, result); // [B, …]
}
