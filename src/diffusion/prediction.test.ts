import { describe, expect, it } from 'vitest';
import { ShapeError } from '../tensor/errors.ts';
import { type FloatTensor, floats, maxAbsDifference, zeros } from '../tensor/host-tensor.ts';
import { randomStream } from '../tensor/random.ts';
import {
  addNoise,
  noiseFromOriginal,
  noiseFromVelocity,
  noiseLevels,
  originalFromNoise,
  originalFromPrediction,
  originalFromVelocity,
  originalLossWeights,
  velocityTarget,
} from './prediction.ts';
import { parseNoiseSchedule } from './schedule.ts';

const schedule = parseNoiseSchedule({ prediction_type: 'v_prediction', rescale_betas_zero_snr: true });
const TIMESTEPS = [0, 3, 250, 700, 998];
const LEVELS = noiseLevels(schedule, TIMESTEPS);

function normal(...path: (string | number)[]): FloatTensor {
  return floats([TIMESTEPS.length, 2, 40], randomStream(5, ...path).normals(TIMESTEPS.length * 80));
}

describe('conversions', () => {
  const original = normal('original');
  const noise = normal('noise');
  const noisy = addNoise(original, noise, LEVELS);
  const velocity = velocityTarget(original, noise, LEVELS);

  it('turn back into what they were made of', () => {
    expect(maxAbsDifference(originalFromVelocity(velocity, noisy, LEVELS), original)).toBeLessThan(1e-6);
    expect(maxAbsDifference(noiseFromVelocity(velocity, noisy, LEVELS), noise)).toBeLessThan(1e-6);
    // Dividing by √ᾱ or √(1−ᾱ) magnifies the rounding of x_t, here by up to 1/√ᾱ_998.
    const magnified = 1e-6 / Math.min(...LEVELS.signal, ...LEVELS.noise);
    expect(maxAbsDifference(originalFromNoise(noise, noisy, LEVELS), original)).toBeLessThan(magnified);
    expect(maxAbsDifference(noiseFromOriginal(original, noisy, LEVELS), noise)).toBeLessThan(magnified);
  });

  it('give the same x0 whatever the network predicts', () => {
    const middle = noiseLevels(
      schedule,
      TIMESTEPS.map(() => 500),
    );
    const x = addNoise(original, noise, middle);
    const outputs = {
      epsilon: noise,
      sample: original,
      v_prediction: velocityTarget(original, noise, middle),
    };
    for (const type of ['epsilon', 'sample', 'v_prediction'] as const) {
      const estimate = originalFromPrediction(type, outputs[type], x, middle);
      expect(maxAbsDifference(estimate, original)).toBeLessThan(1e-5);
    }
  });

  it('make the weighted x0 loss of the release the plain velocity loss', () => {
    const timesteps = [1, 90, 400, 750, 999];
    const levels = noiseLevels(schedule, timesteps);
    const x = addNoise(original, noise, levels);
    const target = velocityTarget(original, noise, levels);
    const predicted = normal('predicted velocity');
    const estimate = originalFromVelocity(predicted, x, levels);
    const weights = originalLossWeights(schedule, timesteps);
    for (const [sample, weight] of weights.entries()) {
      let weighted = 0;
      let plain = 0;
      for (let i = sample * 80; i < (sample + 1) * 80; i++) {
        weighted += weight * (estimate.data[i] - original.data[i]) ** 2;
        plain += (predicted.data[i] - target.data[i]) ** 2;
      }
      expect(Math.abs(weighted / plain - 1)).toBeLessThan(1e-4);
    }
  });
});

describe('refusals', () => {
  it('of shapes and batches that do not fit', () => {
    const x = zeros('f32', [5, 4]);
    expect(() => addNoise(x, zeros('f32', [5, 5]), LEVELS)).toThrow(ShapeError);
    expect(() => addNoise(zeros('f32', [4, 4]), zeros('f32', [4, 4]), LEVELS)).toThrow(/batch of 5/);
    expect(() => originalFromPrediction('sample', x, zeros('f32', [5, 5]), LEVELS)).toThrow(ShapeError);
  });

  it('of divisions by zero', () => {
    const x = zeros('f32', [1, 4]);
    expect(() => originalFromNoise(x, x, noiseLevels(schedule, [999]))).toThrow(/x0 from predicted noise/);
    const clean = noiseLevels(schedule, [-1]);
    expect(() => noiseFromOriginal(x, x, clean)).toThrow(/noise from x0/);
    expect(() => originalLossWeights(schedule, [-1])).toThrow(/loss weight/);
    expect(() => noiseLevels(schedule, [1000])).toThrow(/timestep/);
  });
});
