import { describe, expect, it } from 'vitest';
import { parseNoiseSchedule } from '../diffusion/index.ts';
import type { Phase } from '../methods/index.ts';
import { schedulerConfigJson } from '../store/pipeline-json.ts';
import { floats } from '../tensor/host-tensor.ts';
import type { ItemFeatures } from './features.ts';
import { type StepSources, stepInputs } from './training-inputs.ts';

const item = (value: number): ItemFeatures => ({
  path: 'photo.png',
  posterior: {
    mean: floats([1, 2, 2, 2], new Float32Array(8).fill(value)),
    logVariance: floats([1, 2, 2, 2], new Float32Array(8).fill(-60)),
  },
  text: floats([2, 3], new Float32Array(6).fill(value)),
  mask: floats([1, 1, 2, 2], [value, 0, 0, 1]),
  subjectTokens: floats([2], [0, 1]),
});
const phase: Phase = { name: 'identity', data: 'identity', learning: [], batch: 2 };
const asked = (change: Partial<StepSources>, step = 0, names: readonly string[] = []) =>
  stepInputs(
    {
      seed: 42,
      schedule: parseNoiseSchedule(schedulerConfigJson(), 'scheduler'),
      scalingFactor: 1,
      plan: { step, phase: 'identity', data: 'identity', items: [0, 1], timesteps: [100, 999] },
      phase,
      items: [item(1), item(2)],
      condition: undefined,
      emptyText: floats([2, 3], new Float32Array(6)),
      ...change,
    },
    (name) => names.includes(name),
  );
const values = (tensor: { readonly data: ArrayLike<number | bigint> }) => Array.from(tensor.data, Number);

describe('inputs of a step', () => {
  it('hold what the program asks for, and nothing else', () => {
    expect(Object.keys(asked({})).sort()).toEqual(['latents', 'target', 'text', 'timestep']);
    const masked = asked({ phase: { ...phase, masks: true } }, 0, ['mask', 'subjectTokens']);
    expect(masked.mask.shape).toEqual([2, 1, 1, 2, 2]);
    expect(values(masked.mask)).toEqual([1, 0, 0, 1, 2, 0, 0, 1]);
    expect(values(masked.subjectTokens)).toEqual([0, 1, 0, 1]);
  });

  it('captions are dropped with their probability, each with its marks', () => {
    const dropping = { phase: { ...phase, captionDropout: 0.3 } };
    let dropped = 0;
    for (let step = 0; step < 1000; step++) {
      const { text, subjectTokens } = asked(dropping, step, ['subjectTokens']);
      for (const b of [0, 1]) {
        const isEmpty = values(text)[6 * b] === 0;
        expect(values(subjectTokens)[2 * b + 1]).toBe(isEmpty ? 0 : 1);
        if (isEmpty) dropped++;
      }
    }
    // Three standard deviations of a share at p = 0.3.
    expect(Math.abs(dropped / 2000 - 0.3)).toBeLessThan(3 * Math.sqrt((0.3 * 0.7) / 2000));
    expect(values(asked({ phase: { ...phase, captionDropout: 1 } }).text)).toEqual(new Array(12).fill(0));
  });

  it('an offset shifts the noise of a frame and channel as a whole', () => {
    // At the last timestep nothing of the sample is left: the latents are the noise.
    const noisy = (noiseOffset: number) =>
      values(asked({ phase: { ...phase, noiseOffset } }).latents).slice(8);
    const shifts = noisy(5).map((value, i) => value - noisy(0)[i]);
    for (const channel of [0, 1]) {
      const own = shifts.slice(4 * channel, 4 * channel + 4);
      for (const shift of own) expect(shift).toBeCloseTo(own[0], 5);
      expect(Math.abs(own[0])).toBeGreaterThan(0.01);
    }
    expect(shifts[0]).not.toBeCloseTo(shifts[4], 3);
  });

  it('are the same for the same step, and others for another', () => {
    expect(asked({}, 7)).toEqual(asked({}, 7));
    expect(values(asked({}, 7).latents)).not.toEqual(values(asked({}, 8).latents));
  });
});
