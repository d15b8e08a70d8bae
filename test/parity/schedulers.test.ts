import { expect, it } from 'vitest';
import {
  addNoise,
  createSampler,
  dpmSchedule,
  guidanceSchedule,
  isFinished,
  LEARNING_RATE_SCHEDULES,
  type LearningRateScheduleKind,
  learningRateSchedule,
  type NoiseSource,
  noiseLevels,
  originalLossWeights,
  parseNoiseSchedule,
  recordedNoise,
  type Sampler,
  type SamplerKind,
  velocityTarget,
} from '../../src/diffusion/index.ts';
import { fromFloat32, toFloat32 } from '../../src/tensor/dtype.ts';
import { type FloatTensor, floats } from '../../src/tensor/host-tensor.ts';
import { sizeOf } from '../../src/tensor/shape.ts';
import { describeGolden, expectClose, type Golden, type GoldenTensors } from './golden.ts';

const SAMPLES = { abs: 1e-5 };
const TABLES = { abs: 1e-12 };

describeGolden('schedulers', async (golden) => {
  const io = await golden.tensors('io.safetensors');

  for (const [, model] of io.matching(/^(\w+)\.alphas_cumprod$/)) {
    const schedule = scheduleOf(golden, model);

    it(`${model}: tables`, () => {
      expectClose(schedule.betas, io.numbers(`${model}.betas`), TABLES, 'betas');
      expectClose(schedule.alphasCumprod, io.numbers(`${model}.alphas_cumprod`), TABLES, 'alphas_cumprod');
      if (schedule.config.zeroTerminalSnr) expect(schedule.alphasCumprod.at(-1)).toBe(0);
    });

    if (!io.has(`${model}.add_noise.out`)) continue;
    it(`${model}: noise, velocity and loss weights`, () => {
      const [sample, noise] = ['sample', 'noise'].map((name) => io.floats(`${model}.add_noise.${name}`));
      const timesteps = io.numbers(`${model}.add_noise.timesteps`);
      const levels = noiseLevels(schedule, timesteps);
      const noisy = addNoise(sample, noise, levels);
      expectClose(noisy, io.get(`${model}.add_noise.out`), SAMPLES, 'add_noise');
      const velocity = velocityTarget(sample, noise, levels);
      expectClose(velocity, io.get(`${model}.get_velocity.out`), SAMPLES, 'get_velocity');
      const weights = originalLossWeights(schedule, timesteps);
      expectClose(weights, io.numbers(`${model}.loss_weights`), TABLES, 'loss weights');
    });

    if (!io.has(`${model}.bf16.add_noise.out`)) continue;
    it(`${model}: noise and velocity in bfloat16, bit for bit`, () => {
      const levels = noiseLevels(schedule, io.numbers(`${model}.add_noise.timesteps`), 'bf16');
      const [sample, noise] = ['sample', 'noise'].map((name) => io.floats(`${model}.add_noise.${name}`));
      const [x, e] = [sample, noise].map(roundToBf16);
      expectClose(addNoise(x, e, levels), io.floats(`${model}.bf16.add_noise.out`), {}, 'add_noise');
      const velocity = velocityTarget(x, e, levels);
      expectClose(velocity, io.floats(`${model}.bf16.get_velocity.out`), {}, 'get_velocity');
    });
  }

  const [, anyModel] = io.matching(/^(\w+)\.alphas_cumprod$/)[0];
  const gridOf = (spacing: string, steps: string) =>
    parseNoiseSchedule({
      ...golden.json<object>(`config_${anyModel}.json`),
      timestep_spacing: spacing,
    }).timesteps(Number(steps));
  for (const [name, spacing, steps] of io.matching(/^timesteps\.(\w+)\.(\d+)$/)) {
    it(name, () => expect(gridOf(spacing, steps)).toEqual(io.numbers(name)));
  }

  for (const [, kind, model, steps] of io.matching(/^(ddim|dpm)\.(\w+)\.(\d+)\.samples$/)) {
    const prefix = `${kind}.${model}.${steps}`;
    const sampler = () => createSampler(kind as SamplerKind, scheduleOf(golden, model), Number(steps));

    it(`${prefix}: trajectory`, () => {
      checkTrajectory(io, prefix, sampler(), noiseOf(io, prefix, sampler()));
    });

    if (!io.has(`${prefix}.coefficients`)) continue;
    it(`${prefix}: coefficients and draws`, () => {
      const rows = dpmSchedule(scheduleOf(golden, model), Number(steps)).flatMap((row) => [
        row.sample,
        -row.original,
        ...(row.order === 2 ? [row.current, -row.previous] : [0, 0]),
        row.noise,
      ]);
      expectClose(rows, io.numbers(`${prefix}.coefficients`), TABLES, 'coefficients');
      const draws = sampler().timesteps.map((_, index) => sampler().noiseDraws(index));
      expect(draws).toEqual(io.numbers(`${prefix}.draws_per_step`));
    });

    it(`${prefix}: the last draw of each step is the one used`, () => {
      const noise = noiseOf(io, prefix, sampler());
      slices(io.floats(`${prefix}.noise_used`)).forEach((used, index) => {
        expectClose(noise(index, used.shape), used, {}, `noise of step ${index}`);
      });
    });
  }

  for (const [name, steps, scale] of io.matching(/^dynamic_cfg\.(\d+)\.guidance([\d.]+)$/)) {
    it(name, () => {
      const guidance = guidanceSchedule('dynamic', Number(scale), Number(steps));
      const scales = gridOf('trailing', steps).map(guidance);
      expectClose(scales, io.numbers(name), TABLES, name);
    });
  }

  const ratePattern = new RegExp(
    `^lr\\.(${LEARNING_RATE_SCHEDULES.join('|')})(?:\\.w(\\d+)\\.t(\\d+)\\.c(\\d+))?$`,
  );
  for (const [name, kind, warmup, total, cycles] of io.matching(ratePattern)) {
    it(name, () => {
      const expected = io.numbers(name);
      // Names carry the settings only for the variants; elsewhere the peak is the base rate, where the warm-up ends.
      const baseLearningRate = Math.max(...expected);
      const rate = learningRateSchedule({
        kind: kind as LearningRateScheduleKind,
        baseLearningRate,
        warmupSteps: warmup === undefined ? expected.indexOf(baseLearningRate) : Number(warmup),
        totalSteps: total === undefined ? expected.length : Number(total),
        ...(cycles === undefined ? {} : { cycles: Number(cycles) }),
      });
      const actual = expected.map((_, step) => rate(step));
      expectClose(actual, expected, TABLES, name);
    });
  }
});

function scheduleOf(golden: Golden, model: string) {
  return parseNoiseSchedule(golden.json(`config_${model}.json`), golden.path(`config_${model}.json`));
}

function noiseOf(io: GoldenTensors, prefix: string, sampler: Sampler): NoiseSource {
  const name = `${prefix}.noise_all_draws`;
  return recordedNoise(sampler, io.has(name) ? slices(io.floats(name)) : []);
}

/** Runs the reference's fake model, v(x, t) = A·x + (t/1000)·b, and compares every step. */
function checkTrajectory(io: GoldenTensors, prefix: string, sampler: Sampler, noise: NoiseSource): void {
  const [matrix, bias] = ['fake.A', 'fake.b'].map((name) => io.floats(name).data);
  const samples = slices(io.floats(`${prefix}.samples`));
  const originals = slices(io.floats(`${prefix}.pred_original`));
  let state = sampler.initialState(io.floats('fake.x0'));
  expect(samples.length).toBe(sampler.timesteps.length);
  for (const [index, timestep] of sampler.timesteps.entries()) {
    const x = state.sample.data;
    const output = Float32Array.from(bias, (b, row) => {
      let sum = (timestep / 1000) * b;
      for (let column = 0; column < x.length; column++) sum += matrix[row * x.length + column] * x[column];
      return sum;
    });
    const step = sampler.step(state, floats(state.sample.shape, output), noise);
    expectClose(step.original, originals[index], SAMPLES, `${prefix}: x0 of step ${index}`);
    expectClose(step.state.sample, samples[index], SAMPLES, `${prefix}: sample after step ${index}`);
    state = step.state;
  }
  expect(isFinished(sampler, state)).toBe(true);
}

/** The entries of the leading axis. */
function slices(tensor: FloatTensor): FloatTensor[] {
  const [count, ...shape] = tensor.shape;
  const size = sizeOf(shape);
  return Array.from({ length: count }, (_, index) =>
    floats(shape, tensor.data.subarray(index * size, (index + 1) * size)),
  );
}

function roundToBf16(tensor: FloatTensor): FloatTensor {
  return floats(tensor.shape, toFloat32('bf16', fromFloat32('bf16', tensor.data)));
}
