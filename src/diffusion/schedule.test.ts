import { describe, expect, it } from 'vitest';
import { alphasCumprodAsBf16, parseNoiseSchedule } from './schedule.ts';
import { parseSchedulerConfig, SchedulerError } from './scheduler-config.ts';
import { timestepGrid } from './timesteps.ts';

const CONFIG_5B = {
  _class_name: 'CogVideoXDPMScheduler',
  _diffusers_version: '0.32.2',
  prediction_type: 'v_prediction',
  timestep_spacing: 'trailing',
  rescale_betas_zero_snr: true,
  snr_shift_scale: 1,
  clip_sample: false,
};

describe('parseSchedulerConfig', () => {
  it('takes absent fields from the upstream defaults', () => {
    expect(parseSchedulerConfig({})).toEqual({
      samplerKind: undefined,
      trainTimesteps: 1000,
      betaStart: 0.00085,
      betaEnd: 0.012,
      betaSchedule: 'scaled_linear',
      trainedBetas: null,
      setAlphaToOne: true,
      stepsOffset: 0,
      predictionType: 'epsilon',
      timestepSpacing: 'leading',
      zeroTerminalSnr: false,
      snrShiftScale: 3,
    });
    expect(parseSchedulerConfig(CONFIG_5B).samplerKind).toBe('dpm');
    expect(parseSchedulerConfig({ _class_name: 'CogVideoXDDIMScheduler' }).samplerKind).toBe('ddim');
  });

  it.each([
    [{ beta_schedule: 'squaredcos_cap_v2' }, /beta_schedule = "squaredcos_cap_v2"/],
    [{ clip_sample: true }, /clip_sample = true/],
    [{ _class_name: 'EulerDiscreteScheduler' }, /_class_name = "EulerDiscreteScheduler"/],
    [{ prediction_type: 'flow_prediction' }, /prediction_type/],
    [{ timestep_spacing: 'karras' }, /timestep_spacing/],
    [{ num_train_timesteps: 0 }, /num_train_timesteps = 0/],
    [{ num_train_timesteps: 10.5 }, /num_train_timesteps/],
    [{ snr_shift_scale: -1 }, /snr_shift_scale/],
    [{ beta_end: '0.012' }, /beta_end = "0\.012"/],
    [{ trained_betas: [0.1, 0.2] }, /trained_betas.*num_train_timesteps entries/],
    [{ use_karras_sigmas: true }, /use_karras_sigmas/],
    [null, /expected object/i],
    [[], /expected object/i],
  ])('refuses %j', (json, message) => {
    expect(() => parseSchedulerConfig(json, 'here.json')).toThrow(SchedulerError);
    expect(() => parseSchedulerConfig(json, 'here.json')).toThrow(message);
    expect(() => parseSchedulerConfig(json, 'here.json')).toThrow(/^here\.json: /);
  });

  it('names every bad field at once', () => {
    expect(() => parseSchedulerConfig({ beta_start: 2, clip_sample: true })).toThrow(
      /beta_start = 2.*clip_sample = true/,
    );
  });
});

describe('createNoiseSchedule', () => {
  it('falls monotonically, to exactly 0 with zero terminal SNR', () => {
    const { alphasCumprod } = parseNoiseSchedule(CONFIG_5B);
    expect(alphasCumprod.at(-1)).toBe(0);
    for (let t = 1; t < 1000; t++) expect(alphasCumprod[t]).toBeLessThan(alphasCumprod[t - 1]);
    expect(
      parseNoiseSchedule({ ...CONFIG_5B, rescale_betas_zero_snr: false }).alphasCumprod[999],
    ).toBeGreaterThan(0);
  });

  it('divides the signal-to-noise ratio by the shift', () => {
    const plain = parseNoiseSchedule({ snr_shift_scale: 1 }).alphasCumprod;
    const shifted = parseNoiseSchedule({ snr_shift_scale: 3 }).alphasCumprod;
    for (const t of [0, 500, 999]) {
      const ratio = plain[t] / (1 - plain[t]) / (shifted[t] / (1 - shifted[t]));
      expect(ratio).toBeCloseTo(3, 9);
    }
  });

  it('keeps linear and trained tables in float32', () => {
    const linear = parseNoiseSchedule({ beta_schedule: 'linear', rescale_betas_zero_snr: true });
    const trained = parseNoiseSchedule({
      num_train_timesteps: 3,
      trained_betas: [0.1, 0.2, 0.3],
      snr_shift_scale: 1,
    });
    for (const { betas, alphasCumprod } of [linear, trained]) {
      expect([...betas]).toEqual([...betas].map(Math.fround));
      expect([...alphasCumprod]).toEqual([...alphasCumprod].map(Math.fround));
    }
    expect(linear.betas[999]).toBe(Math.fround(0.012));
    expect(linear.alphasCumprod[999]).toBe(0);
    expect(trained.alphasCumprod[2]).toBeCloseTo(0.9 * 0.8 * 0.7, 7);
  });

  it('answers beyond the last step with 1, or with the first entry', () => {
    expect(parseNoiseSchedule(CONFIG_5B).alphaCumprod(-1)).toBe(1);
    const other = parseNoiseSchedule({ ...CONFIG_5B, set_alpha_to_one: false });
    expect(other.alphaCumprod(-7)).toBe(other.alphasCumprod[0]);
    expect(() => other.alphaCumprod(1000)).toThrow(SchedulerError);
    expect(() => other.alphaCumprod(0.5)).toThrow(SchedulerError);
  });

  it('refuses to rescale a table without contrast', () => {
    expect(() => parseNoiseSchedule({ num_train_timesteps: 1, rescale_betas_zero_snr: true })).toThrow(
      /rescale_betas_zero_snr/,
    );
  });

  it('rounds the table to bfloat16', () => {
    const schedule = parseNoiseSchedule(CONFIG_5B);
    const rounded = alphasCumprodAsBf16(schedule);
    for (const [t, value] of rounded.entries()) {
      expect(Math.abs(value - schedule.alphasCumprod[t])).toBeLessThanOrEqual(value * 2 ** -8);
    }
    expect(new Set(rounded).size).toBeLessThan(1000);
  });
});

describe('timestepGrid', () => {
  it('has distinct descending steps of every count, under every spacing', () => {
    for (const spacing of ['trailing', 'leading', 'linspace'] as const) {
      for (let steps = 1; steps <= 200; steps++) {
        const grid = timestepGrid(spacing, steps, 200, 0);
        expect(grid.length).toBe(steps);
        for (let i = 1; i < steps; i++) expect(grid[i]).toBeLessThan(grid[i - 1]);
        expect(grid[0]).toBeLessThan(200);
        expect(grid[steps - 1]).toBeGreaterThanOrEqual(0);
      }
    }
  });

  it('rounds halves to even and never runs past its count', () => {
    expect(timestepGrid('trailing', 16, 1000, 0).slice(0, 4)).toEqual([999, 937, 874, 811]);
    expect(timestepGrid('trailing', 61, 1000, 0).length).toBe(61);
  });

  it('refuses bad counts and offsets that leave the table', () => {
    for (const steps of [0, -1, 1001, 2.5, Number.NaN]) {
      expect(() => timestepGrid('trailing', steps, 1000, 0)).toThrow(/sampling steps/);
    }
    expect(timestepGrid('leading', 10, 1000, 1)[0]).toBe(901);
    expect(() => timestepGrid('leading', 1000, 1000, 1)).toThrow(/steps_offset/);
  });
});
