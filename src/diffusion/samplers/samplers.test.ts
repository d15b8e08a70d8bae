import { describe, expect, it } from 'vitest';
import { ShapeError } from '../../tensor/errors.ts';
import { type FloatTensor, floats, integers, maxAbsDifference, zeros } from '../../tensor/host-tensor.ts';
import { encodeSafetensors, parseSafetensors } from '../../tensor/safetensors.ts';
import { parseNoiseSchedule } from '../schedule.ts';
import { createSampler, SAMPLER_KINDS } from './create.ts';
import { initialNoise, recordedNoise, seededNoise } from './noise.ts';
import {
  isFinished,
  type Sampler,
  type SamplerState,
  SamplerStateError,
  samplerStateFromTensors,
  samplerStateToTensors,
} from './sampler.ts';

const CONFIG = {
  prediction_type: 'v_prediction',
  timestep_spacing: 'trailing',
  rescale_betas_zero_snr: true,
};
const schedule = parseNoiseSchedule(CONFIG);
const SHAPE = [2, 3, 4];

function fakeModel(sample: FloatTensor, timestep: number): FloatTensor {
  return floats(
    sample.shape,
    sample.data.map((value, index) => Math.sin(value + index) * 0.5 + timestep / 2000),
  );
}

function run(sampler: Sampler, from: SamplerState, stop: number, seed: number): SamplerState {
  let state = from;
  while (state.stepIndex < stop) {
    const output = fakeModel(state.sample, sampler.timesteps[state.stepIndex]);
    state = sampler.step(state, output, seededNoise(seed)).state;
  }
  return state;
}

function reopened(sampler: Sampler, state: SamplerState): SamplerState {
  const bytes = encodeSafetensors(samplerStateToTensors(sampler, state));
  return samplerStateFromTensors(sampler, parseSafetensors(bytes).tensors);
}

describe.each(SAMPLER_KINDS)('%s', (kind) => {
  const sampler = createSampler(kind, schedule, 7);
  const start = sampler.initialState(initialNoise(11, SHAPE));

  it('resumes bit-equal from a saved state at any step', () => {
    const whole = run(sampler, start, 7, 11);
    expect(isFinished(sampler, whole)).toBe(true);
    for (let stop = 0; stop <= 7; stop++) {
      const half = reopened(sampler, run(sampler, start, stop, 11));
      expect(half.stepIndex).toBe(stop);
      expect(run(sampler, half, 7, 11)).toEqual(whole);
    }
  });

  it('does not touch the state it is given', () => {
    const before = structuredClone(start);
    run(sampler, start, 7, 11);
    expect(start).toEqual(before);
  });

  it('recovers x0 from a perfect prediction, at every step count and prediction type', () => {
    const target = initialNoise(3, SHAPE);
    for (const predictionType of ['v_prediction', 'sample'] as const) {
      for (const steps of [1, 2, 10, 33]) {
        const exact = createSampler(
          kind,
          parseNoiseSchedule({ ...CONFIG, prediction_type: predictionType }),
          steps,
        );
        let state = exact.initialState(initialNoise(4, SHAPE));
        for (const timestep of exact.timesteps) {
          // The velocity that leads to `target`: v = (√ᾱ·x_t − x0) / √(1−ᾱ).
          const alpha = schedule.alphaCumprod(timestep);
          const output = target.data.map((x0, i) =>
            predictionType === 'sample'
              ? x0
              : (Math.sqrt(alpha) * state.sample.data[i] - x0) / Math.sqrt(1 - alpha),
          );
          state = exact.step(state, floats(SHAPE, output), seededNoise(4)).state;
        }
        expect(maxAbsDifference(state.sample, target)).toBeLessThan(1e-5);
      }
    }
  });

  it('stays finite under every spacing, offset and end of the schedule', () => {
    for (const change of [
      { timestep_spacing: 'leading', steps_offset: 1 },
      { timestep_spacing: 'linspace' },
      { set_alpha_to_one: false, timestep_spacing: 'leading' },
      { prediction_type: 'epsilon', rescale_betas_zero_snr: false },
      { beta_schedule: 'linear' },
    ]) {
      for (const steps of [1, 3, 50, 999]) {
        const other = createSampler(kind, parseNoiseSchedule({ ...CONFIG, ...change }), steps);
        const last = run(other, other.initialState(initialNoise(1, [1, 2])), steps, 1);
        expect([...last.sample.data].every(Number.isFinite)).toBe(true);
      }
    }
  });

  it('refuses states, outputs and schedules that do not fit', () => {
    const finished = run(sampler, start, 7, 11);
    const output = zeros('f32', SHAPE);
    expect(() => sampler.step(finished, output, seededNoise(1))).toThrow(SamplerStateError);
    expect(() => sampler.step({ ...start, stepIndex: -1 }, output, seededNoise(1))).toThrow(
      SamplerStateError,
    );
    expect(() => sampler.step(start, zeros('f32', [2, 3]), seededNoise(1))).toThrow(ShapeError);
    expect(() =>
      createSampler(kind, parseNoiseSchedule({ ...CONFIG, prediction_type: 'epsilon' }), 7),
    ).toThrow(/alphaCumprod = 0/);
    expect(() => createSampler(kind, schedule, 0)).toThrow(/sampling steps/);
  });
});

describe('saved states', () => {
  const ddim = createSampler('ddim', schedule, 5);
  const dpm = createSampler('dpm', schedule, 5);
  const atTwo = (sampler: Sampler) => run(sampler, sampler.initialState(initialNoise(1, SHAPE)), 2, 1);

  it('belong to one kind of sampler and one number of steps', () => {
    const saved = samplerStateToTensors(dpm, atTwo(dpm));
    expect(() => samplerStateFromTensors(ddim, saved)).toThrow(/without the previous x0/);
    expect(() => samplerStateFromTensors(dpm, samplerStateToTensors(ddim, atTwo(ddim)))).toThrow(
      /with the previous x0/,
    );
    expect(() => samplerStateFromTensors(createSampler('dpm', schedule, 6), saved)).toThrow(
      /a run of 6 steps/,
    );
  });

  it('are refused when damaged', () => {
    const saved = samplerStateToTensors(dpm, atTwo(dpm));
    const without = (name: string) => new Map([...saved].filter(([key]) => key !== name));
    expect(() => samplerStateFromTensors(dpm, without('sampler.position'))).toThrow(/no such tensor/);
    expect(() => samplerStateFromTensors(dpm, without('sampler.sample'))).toThrow(/sampler\.sample/);
    const changed = (name: string, tensor: FloatTensor | ReturnType<typeof integers>) =>
      new Map([...saved, [name, tensor] as const]);
    expect(() => samplerStateFromTensors(dpm, changed('sampler.position', integers([2], [9, 5])))).toThrow(
      /a step from 0 to 4/,
    );
    expect(() => samplerStateFromTensors(dpm, changed('sampler.sample', integers([1], [1])))).toThrow(/f32/);
    expect(() =>
      samplerStateFromTensors(dpm, changed('sampler.previous_original', zeros('f32', [1]))),
    ).toThrow(/previous x0 of shape/);
  });
});

describe('noise', () => {
  const dpm = createSampler('dpm', schedule, 5);

  it('is a pure function of seed and step', () => {
    expect(seededNoise(5)(3, SHAPE)).toEqual(seededNoise(5)(3, SHAPE));
    expect(seededNoise(5)(3, SHAPE)).not.toEqual(seededNoise(5)(4, SHAPE));
    expect(seededNoise(5)(3, SHAPE)).not.toEqual(seededNoise(6)(3, SHAPE));
    expect(initialNoise(5, SHAPE)).not.toEqual(seededNoise(5)(0, SHAPE));
  });

  it('replays recorded draws, of which second-order steps throw the first away', () => {
    const draws = Array.from({ length: 8 }, (_, index) => floats([1], [index]));
    const noise = recordedNoise(dpm, draws);
    expect(dpm.timesteps.map((_, step) => noise(step, [1]).data[0])).toEqual([0, 2, 4, 6, 7]);
    expect(() => recordedNoise(dpm, draws.slice(1))).toThrow(/8 draws/);
    expect(() => noise(0, [2])).toThrow(ShapeError);
    expect(() => recordedNoise(createSampler('ddim', schedule, 5), [])(0, [1])).toThrow(ShapeError);
  });

  it('still enters the last step where 1000 does not divide by the step count', () => {
    // 6 steps go 166 apart, so the last one, from 166, ends at t = 0 and not beyond it.
    const six = createSampler('dpm', schedule, 6);
    expect(six.timesteps.map((_, step) => six.noiseDraws(step))).toEqual([1, 2, 2, 2, 2, 2]);
    const thirty = createSampler('dpm', schedule, 30);
    expect(thirty.noiseDraws(29)).toBe(1);
  });

  it('must have the shape of the sample', () => {
    const start = dpm.initialState(initialNoise(1, [2]));
    expect(() => dpm.step(start, zeros('f32', [2]), () => zeros('f32', [3]))).toThrow(/noise of dpm step 0/);
  });
});
