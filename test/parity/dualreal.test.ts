import { describe, expect, it } from 'vitest';
import { parseNoiseSchedule } from '../../src/diffusion/index.ts';
import {
  addNoise,
  noiseLevels,
  originalFromVelocity,
  velocityTarget,
} from '../../src/diffusion/prediction.ts';
import * as g from '../../src/graph/index.ts';
import {
  type BatchShape,
  DUALREAL_PRESETS,
  type DualRealOptions,
  dualRealObjective,
  type ParameterGroup,
  parameterGroup,
  traceDualReal,
} from '../../src/methods/dualreal/index.ts';
import { parseTransformerConfig } from '../../src/models/cogvideox/transformer/index.ts';
import { createRuntime, GRADIENT_PREFIX, requireWeights, type Tensors } from '../../src/runtime/index.ts';
import { asFloats, floats, type HostTensor } from '../../src/tensor/host-tensor.ts';
import { evaluate } from './evaluate.ts';
import { describeGolden, expectClose, statedNumber, statedTolerance } from './golden.ts';
import { releaseRotaryBase } from './release-rotary.ts';

interface TrainFile {
  readonly set_motion_adapter: { readonly conditioning_dim: number };
  readonly set_controller: { readonly output_dim: number };
  readonly optimizer: {
    readonly lr: number;
    readonly betas: [number, number];
    readonly eps: number;
    readonly weight_decay: number;
    readonly max_grad_norm: number;
  };
  readonly scheduler: Record<string, unknown>;
  readonly trainable: readonly string[];
  readonly phases: Record<
    string,
    { readonly no_grad_at_all: readonly string[]; readonly masked_after_backward: readonly string[] }
  >;
}

describeGolden('dualreal-transformer', async (golden) => {
  const configJson = golden.json<{ spatial_adapter_hidden_dim: number }>('config.json');
  const {
    use_IdAdapter: _i,
    use_MotionAdapter: _m,
    spatial_adapter_alpha: identityAlpha,
    temporal_adapter_alpha: motionAlpha,
    spatial_adapter_hidden_dim: bottleneck,
    temporal_adapter_hidden_dim: _b,
    ...base
  } = configJson as Record<string, unknown>;
  const config = parseTransformerConfig(base, golden.path('config.json'));
  const rotaryBase = releaseRotaryBase(config.patch);
  const train = golden.json<TrainFile>('train.json');
  const weights = new Map([...(await golden.tensors('model.safetensors'))]);
  const options: DualRealOptions = {
    ...DUALREAL_PRESETS.official,
    bottleneck: bottleneck as number,
    conditionDim: train.set_motion_adapter.conditioning_dim,
    groups: train.set_controller.output_dim,
  };
  const io = await golden.tensors('io.safetensors');
  const tolerance = { abs: statedTolerance(golden, 1e-4) };
  const trainable = new Map([...weights].filter(([name]) => parameterGroup(name)));
  const frozen = new Map([...weights].filter(([name]) => !parameterGroup(name)));

  describe('forward', () => {
    const cases = [...new Set(io.matching(/^([^.]+)\.sample$/).map((match) => match[1]))];
    it.each(cases)('%s', async (name) => {
      const controller = golden.has(`controller_${name}.safetensors`)
        ? await golden.tensors(`controller_${name}.safetensors`)
        : undefined;
      const values = new Map([...weights, ...(controller ?? [])]);
      const groups = name === 'static_alpha' ? 0 : values.get('controller.fusion_net.3.bias')!.shape[0];
      const weightTotal =
        name === 'static_alpha' ? Number(identityAlpha) + Number(motionAlpha) : options.weightTotal;
      const conditioned = name !== 'no_y' && name !== 'base';
      const latents = io.floats('in.hidden_states');
      const own = io.has(`${name}.in.encoder_hidden_states`);
      const text = io.floats(own ? `${name}.in.encoder_hidden_states` : 'in.encoder_hidden_states');
      const [batch, latentFrames, , latentHeight, latentWidth] = latents.shape;
      const shape = {
        batch,
        latentFrames,
        latentHeight,
        latentWidth,
        textTokens: text.shape[1],
        conditioned,
      };
      const probed = new Map<string, g.Value>();
      const { output, parameters } = traceDualReal(config, { ...options, groups, weightTotal }, shape, {
        rotaryBase,
        probe: (label, value) => probed.set(label, value),
        ...(name === 'id_only' && { dimensions: ['identity'] }),
        ...(name === 'motion_only' && { dimensions: ['motion'] }),
        ...(name === 'base' && { dimensions: [] }),
      });
      if (['y', 'n4', 'n1'].includes(name)) requireWeights(name, parameters.declared, values);
      const wanted = io
        .names()
        .filter((label) => label.startsWith(`${name}.`) && !label.includes('.in.'))
        .map((label) => label.slice(name.length + 1));
      const outputs = Object.fromEntries(
        wanted.map((label) => [label, label === 'sample' ? output : probed.get(label)!] as const),
      );
      const y = io.has('in.y_image_single') && name === 'y_single' ? 'in.y_image_single' : 'in.y_image';
      const feeds: Tensors = { latents, text, timestep: io.floats('in.timestep') };
      if (conditioned) feeds.condition = repeatRows(io.floats(y), batch);
      const program = g.program(name, outputs);
      const adapters = [...program.inputs.keys()].filter((key) => parameterGroup(key));
      const results = await evaluate(outputs, values, {
        ...Object.fromEntries(
          [...program.inputs.keys()].filter((key) => feeds[key]).map((key) => [key, feeds[key]]),
        ),
        ...Object.fromEntries(adapters.map((key) => [key, values.get(key)!])),
      });
      for (const label of wanted)
        expectClose(results[label], io.get(`${name}.${label}`), tolerance, `${name}.${label}`);
    });
  });

  describe('training', async () => {
    const trainIo = await golden.tensors('train_io.safetensors');
    const schedule = parseNoiseSchedule({ _class_name: 'CogVideoXDPMScheduler', ...train.scheduler });
    const phases = Object.keys(train.phases);
    const learningGroups = (phase: string): ParameterGroup[] =>
      phase === 'motion' ? ['motion', 'condition', 'controller'] : ['identity', 'controller'];
    const everything: ParameterGroup[] = ['identity', 'motion', 'condition', 'controller'];

    const batchOf = (phase: string): { shape: BatchShape; feeds: Tensors; noisy: HostTensor<'f32'> } => {
      const latents = trainIo.floats(`${phase}.in.latents`);
      const noise = trainIo.floats(`${phase}.in.noise`);
      const timesteps = trainIo.numbers(`${phase}.in.timesteps`);
      const text = trainIo.floats(`${phase}.in.prompt_embeds`);
      const conditioned = trainIo.has(`${phase}.in.y_image`);
      const [batch, latentFrames, , latentHeight, latentWidth] = latents.shape;
      const levels = noiseLevels(schedule, timesteps, 'f32');
      const noisy = addNoise(latents, noise, levels);
      return {
        shape: { batch, latentFrames, latentHeight, latentWidth, textTokens: text.shape[1], conditioned },
        noisy,
        feeds: {
          latents: noisy,
          target: velocityTarget(latents, noise, levels),
          text,
          timestep: floats([batch], timesteps),
          ...(conditioned && { condition: trainIo.floats(`${phase}.in.y_image`) }),
        },
      };
    };

    it.each(phases)('%s: loss and every gradient, before the mask', async (phase) => {
      const { shape, feeds, noisy } = batchOf(phase);
      expectClose(noisy, trainIo.get(`${phase}.out.noisy_model_input`), { abs: 1e-5 }, 'noisy_model_input');
      const { output } = traceDualReal(config, options, shape, { rotaryBase });
      const { target: _, ...forwardFeeds } = feeds;
      const forward = await evaluate(
        { output },
        weights,
        withParameters({ output }, forwardFeeds, trainable),
      );
      expectClose(forward.output, trainIo.get(`${phase}.out.model_output`), tolerance, 'model_output');
      const levels = noiseLevels(schedule, trainIo.numbers(`${phase}.in.timesteps`), 'f32');
      const predicted = originalFromVelocity(asFloats(forward.output), noisy, levels);
      expectClose(predicted, trainIo.get(`${phase}.out.model_pred`), tolerance, 'model_pred');

      const program = dualRealObjective(config, options, shape, everything, {
        rotaryBase,
      });
      const names = gradientNames(program);
      const absent = new Set(train.phases[phase].no_grad_at_all);
      expect(names.sort()).toEqual(train.trainable.filter((name) => !absent.has(name)).sort());
      const results = await run(program, feeds);
      expectClose(asFloats(results.loss), [trainIo.numbers(`${phase}.out.loss`)[0]], { rel: 1e-5 }, 'loss');
      const gradients = await golden.tensors(`train_${phase}_grads.safetensors`);
      for (const name of names) {
        expectClose(results[GRADIENT_PREFIX + name], gradients.get(name), { abs: 1e-4, rel: 1e-3 }, name);
      }
    });

    it.each(phases)('%s: only the active adapters and the controller are differentiated', (phase) => {
      const { shape } = batchOf(phase);
      const { no_grad_at_all, masked_after_backward } = train.phases[phase];
      const skipped = new Set([...no_grad_at_all, ...masked_after_backward]);
      const masked = dualRealObjective(config, options, shape, learningGroups(phase));
      expect(gradientNames(masked).sort()).toEqual(
        train.trainable.filter((name) => !skipped.has(name)).sort(),
      );
      const all = dualRealObjective(config, options, shape, everything);
      expect(masked.nodes.length).toBeLessThan(all.nodes.length);
    });

    it.each(phases)(
      '%s: parameters after one step; the other adapter bit for bit unchanged',
      async (phase) => {
        const { after, report } = await trainSteps([phase], train.optimizer.max_grad_norm);
        expectClose(
          [report[0].gradientNorm],
          [trainIo.numbers(`${phase}.out.grad_norm`)[0]],
          { rel: 1e-4 },
          'norm',
        );
        const expected = await golden.tensors(`train_${phase}_params_after.safetensors`);
        const gradients = await golden.tensors(`train_${phase}_grads.safetensors`);
        const groups = learningGroups(phase);
        for (const [name, tensor] of after) {
          if (!groups.includes(parameterGroup(name)!)) {
            expect(tensor.data, name).toEqual(trainable.get(name)!.data);
            continue;
          }
          if (!gradients.has(name)) continue;
          const gradient = gradients.floats(name).data;
          const scale = report[0].clippedBy;
          const keep = [...gradient.keys()].filter((i) => Math.abs(gradient[i] * scale) > 1e-5);
          const pick = (data: ArrayLike<number>) => keep.map((i) => data[i]);
          expectClose(pick(asFloats(tensor).data), pick(expected.floats(name).data), { abs: 2e-6 }, name);
        }
      },
    );

    const sequences = [
      { name: 'sequence', clip: train.optimizer.max_grad_norm },
      {
        name: 'sequence_clip',
        clip: statedNumber(golden, /sequence_clip`?: [^.]*max_grad_norm (\d+(?:\.\d+)?)/, 0.2),
      },
    ];
    it.each(sequences)('$name: losses, norms and parameters after the steps', async ({ name, clip }) => {
      const losses = trainIo.numbers(`${name}.losses`);
      const order = losses.map((_, i) => ['motion', 'id'][i % 2]);
      const { after, report, lossValues } = await trainSteps(order, clip);
      expectClose(lossValues, losses, { rel: 1e-5 }, 'losses');
      expectClose(
        report.map((step) => step.gradientNorm),
        trainIo.numbers(`${name}.grad_norms`),
        { rel: 1e-3 },
        'gradient norms',
      );
      const expected = await golden.tensors(`train_${name}_params_after.safetensors`);
      // Entries whose gradient never rises above rounding move by ±lr with a sign that is noise: the
      // stated tolerance excludes them, here by their gradients at the start.
      const excluded = await noiseLevelEntries();
      for (const [parameter, tensor] of after) {
        const ours = asFloats(tensor).data;
        const theirs = expected.floats(parameter).data;
        const skip = excluded.get(parameter);
        const keep = [...ours.keys()].filter((i) => !skip?.has(i));
        const pick = (data: Float32Array) => keep.map((i) => data[i]);
        expectClose(pick(ours), pick(theirs), { abs: 1e-4 }, parameter);
      }
    });

    async function noiseLevelEntries(): Promise<Map<string, Set<number>>> {
      const excluded = new Map<string, Set<number>>();
      for (const phase of phases) {
        for (const [name, tensor] of await golden.tensors(`train_${phase}_grads.safetensors`)) {
          if (!learningGroups(phase).includes(parameterGroup(name)!)) continue;
          const small = [...asFloats(tensor).data.entries()]
            .filter(([, v]) => Math.abs(v) < 1e-6)
            .map(([i]) => i);
          if (small.length) excluded.set(name, new Set([...(excluded.get(name) ?? []), ...small]));
        }
      }
      return excluded;
    }

    async function trainSteps(order: readonly string[], maxGradientNorm: number) {
      const runtime = createRuntime({ inline: true, threads: 2 });
      const { lr, betas, eps, weight_decay } = train.optimizer;
      const byGroup = everything.flatMap((group) =>
        [...trainable]
          .filter(([name]) => parameterGroup(name) === group)
          .map(([name, { shape }]) => ({ name, shape, group })),
      );
      const trainer = await runtime.createTrainer({
        tensors: byGroup,
        optimizer: { betas, epsilon: eps, weightDecay: weight_decay, maxGradientNorm },
      });
      await trainer.load({ parameters: trainable });
      const report = [];
      const lossValues: number[] = [];
      for (const phase of order) {
        const { shape, feeds } = batchOf(phase);
        const groups = learningGroups(phase);
        const program = dualRealObjective(config, options, shape, groups, {
          rotaryBase,
        });
        const executable = await runtime.compile(program, { weights: frozen, trainer });
        const step = await executable.trainStep({
          microBatches: [feeds],
          learningRate: lr,
          activeGroups: groups,
        });
        lossValues.push(Number(step.outputs[0].loss.data[0]));
        report.push(step);
        await executable.release();
      }
      const after = (await trainer.read()).parameters;
      await runtime.close();
      return { after, report, lossValues };
    }

    async function run(program: g.Program, feeds: Tensors): Promise<Tensors> {
      const runtime = createRuntime({ inline: true, threads: 2 });
      const executable = await runtime.compile(program, { weights: frozen });
      const parameters = [...program.inputs.keys()].filter((name) => trainable.has(name));
      const results = await executable.run({
        ...feeds,
        ...Object.fromEntries(parameters.map((name) => [name, trainable.get(name)!])),
      });
      await runtime.close();
      return results;
    }
  });
});

function gradientNames(program: g.Program): string[] {
  return [...program.outputs.keys()]
    .filter((name) => name.startsWith(GRADIENT_PREFIX))
    .map((name) => name.slice(GRADIENT_PREFIX.length));
}

function withParameters(
  outputs: Record<string, g.Value>,
  feeds: Tensors,
  trainable: ReadonlyMap<string, HostTensor>,
): Tensors {
  const inputs = [...g.program('inputs', outputs).inputs.keys()];
  const parameters = inputs
    .filter((name) => trainable.has(name))
    .map((name) => [name, trainable.get(name)!] as const);
  return { ...feeds, ...Object.fromEntries(parameters) };
}

/** [1, 1, E] for a whole batch → [B, 1, E]. */
function repeatRows(tensor: HostTensor<'f32'>, batch: number): HostTensor<'f32'> {
  const [rows, one, width] = tensor.shape;
  if (rows === batch) return tensor;
  const data = new Float32Array(batch * width);
  for (let row = 0; row < batch; row++) data.set(tensor.data, row * width);
  return floats([batch, one, width], data);
}
