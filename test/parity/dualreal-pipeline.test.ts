import { expect, it } from 'vitest';
import {
  createSampler,
  guidanceSchedule,
  type NoiseSource,
  parseNoiseSchedule,
  recordedNoise,
} from '../../src/diffusion/index.ts';
import * as g from '../../src/graph/index.ts';
import { DUALREAL_PRESETS, traceDualReal } from '../../src/methods/dualreal/index.ts';
import { parseTransformerConfig } from '../../src/models/cogvideox/transformer/index.ts';
import { parseVaeConfig, VaeCodec } from '../../src/models/cogvideox/vae/index.ts';
import { createRuntime } from '../../src/runtime/index.ts';
import { type FloatTensor, floats } from '../../src/tensor/host-tensor.ts';
import { denoise } from '../../src/workflows/denoise.ts';
import {
  describeGolden,
  expectClose,
  type GoldenTensors,
  openGolden,
  statedNumber,
  statedTolerance,
} from './golden.ts';
import { releaseRotaryBase } from './release-rotary.ts';

interface PipelineFile {
  readonly scheduler: Record<string, unknown>;
  readonly vae_scaling_factor: number;
  readonly height: number;
}

describeGolden('dualreal-pipeline', async (golden) => {
  const models = openGolden('dualreal-transformer');
  if (!models) {
    it('finds the transformer it was made with', () => expect.fail('dualreal-transformer is absent'));
    return;
  }
  const { scheduler, height } = golden.json<PipelineFile>('config.json');
  const io = await golden.tensors('io.safetensors');
  const configFile = models.json<Record<string, unknown>>('config.json');
  const adapterFields = /^(use_(Id|Motion)Adapter|(spatial|temporal)_adapter_)/;
  const config = parseTransformerConfig(
    Object.fromEntries(Object.entries(configFile).filter(([key]) => !adapterFields.test(key))),
  );
  const weights = new Map([...(await models.tensors('model.safetensors'))]);
  const options = {
    ...DUALREAL_PRESETS.official,
    bottleneck: Number(configFile.spatial_adapter_hidden_dim),
    conditionDim: io.get('in.y_image').shape[2],
    groups: weights.get('controller.fusion_net.3.bias')!.shape[0],
  };
  const schedule = parseNoiseSchedule({ _class_name: 'CogVideoXDPMScheduler', ...scheduler });
  const cases = io.matching(/^(.+)\.latents_after_step$/).map((match) => match[1]);
  const guidanceScale = statedNumber(golden, /guidance (\d+(?:\.\d+)?)/, 6);

  it.each(cases)('%s: latents after each step', async (name) => {
    const expected = io.floats(`${name}.latents_after_step`);
    const steps = expected.shape[0];
    const kind = name.startsWith('ddim') ? 'ddim' : 'dpm';
    const guided = !name.endsWith('no_cfg');
    const conditioned = !name.endsWith('no_y');
    const sampler = createSampler(kind, schedule, steps);
    expect([...sampler.timesteps]).toEqual(io.numbers(`timesteps.${steps}`));
    const latents = io.floats('in.latents');
    const [, latentFrames, , latentHeight, latentWidth] = latents.shape;
    const text = io.floats('in.prompt_embeds');
    const batch = guided ? 2 : 1;
    const { output } = traceDualReal(
      config,
      options,
      { batch, latentFrames, latentHeight, latentWidth, textTokens: text.shape[1], conditioned },
      { rotaryBase: releaseRotaryBase(config.patch, height / latentHeight), frozen: true },
    );
    const runtime = createRuntime({ inline: true, threads: 2 });
    const executable = await runtime.compile(g.program(name, { output }), { weights });
    const states = denoise(
      {
        executable,
        sampler,
        guidance: guidanceSchedule(
          name.includes('dynamic') ? 'dynamic' : 'constant',
          guided ? guidanceScale : 1,
          steps,
        ),
        noise: noiseOf(io, name, steps),
        conditioning: {
          positive: text,
          negative: guided ? io.floats('in.negative_prompt_embeds') : undefined,
          image: conditioned ? io.floats('in.y_image') : undefined,
        },
      },
      sampler.initialState(latents),
    );
    const length = latents.data.length;
    let step = 0;
    for await (const { state } of states) {
      const want = floats(latents.shape, expected.data.slice(step * length, (step + 1) * length));
      expectClose(state.sample, want, { abs: statedTolerance(golden, 3.2e-4) }, `${name} step ${step}`);
      step++;
    }
    expect(step).toBe(steps);
    await runtime.close();
  });

  const vaeGolden = openGolden('vae');
  const videos = io.matching(/^(.+)\.video$/).map((match) => match[1]);
  if (vaeGolden) {
    it.each(videos)('%s: decoded video', async (name) => {
      const vaeConfig = parseVaeConfig(vaeGolden.json('config.json'), vaeGolden.path('config.json'));
      const vaeWeights = new Map([...(await vaeGolden.tensors('model.safetensors'))]);
      const all = io.floats(`${name}.latents_after_step`);
      const [steps, ...shape] = all.shape;
      const length = all.data.length / steps;
      const { vae_scaling_factor: scale } = golden.json<PipelineFile>('config.json');
      const latents = floats(
        shape,
        all.data.slice((steps - 1) * length).map((value) => value / scale),
      );
      const runtime = createRuntime({ inline: true, threads: 2 });
      const frames = await new VaeCodec(runtime, vaeConfig, vaeWeights).decode(latents);
      await runtime.close();
      expectClose(
        displayed(frames),
        io.get(`${name}.video`),
        { abs: statedTolerance(golden, 3.2e-4) },
        `${name}.video`,
      );
    });
  } else it.skip('decoded videos: the vae they were made with is absent', () => {});

  /** [1, F, 3, H, W] in about [−1, 1] → [1, F, H, W, 3] in 0 … 1, clamped. */
  function displayed(frames: FloatTensor): FloatTensor {
    const [batch, count, channels, height, width] = frames.shape;
    const area = height * width;
    const out = new Float32Array(frames.data.length);
    for (let frame = 0; frame < batch * count; frame++) {
      for (let channel = 0; channel < channels; channel++) {
        for (let i = 0; i < area; i++) {
          const value = frames.data[(frame * channels + channel) * area + i] / 2 + 0.5;
          out[(frame * area + i) * channels + channel] = Math.min(1, Math.max(0, value));
        }
      }
    }
    return floats([batch, count, height, width, channels], out);
  }

  function noiseOf(tensors: GoldenTensors, name: string, steps: number): NoiseSource {
    if (name.startsWith('ddim')) return () => expect.fail('DDIM draws no noise');
    const recorded = tensors.has(`${name}.noise_all_draws`) ? name : 'dpm';
    const all = tensors.floats(`${recorded}.noise_all_draws`);
    const [count, ...shape] = all.shape;
    const length = all.data.length / count;
    const draws: FloatTensor[] = Array.from({ length: count }, (_, i) =>
      floats(shape, all.data.slice(i * length, (i + 1) * length)),
    );
    return recordedNoise(createSampler('dpm', schedule, steps), draws);
  }
});
