import { afterAll, describe, expect, it } from 'vitest';
import { allCases, computingOps, opTrial, resultName } from '../../src/graph/op-trial.cases.ts';
import type { Program } from '../../src/graph/program.ts';
import { transformerStack } from '../../src/graph/transformer-stack.cases.ts';
import { DUALREAL_PRESETS, dualRealObjective, parameterGroup } from '../../src/methods/dualreal/index.ts';
import { parseTransformerConfig } from '../../src/models/cogvideox/transformer/index.ts';
import { createRuntime, GRADIENT_PREFIX, type Tensors, type WeightTable } from '../../src/runtime/index.ts';
import { type FloatTensor, floats } from '../../src/tensor/host-tensor.ts';
import { randomStream } from '../../src/tensor/random.ts';
import { type Shape, sizeOf } from '../../src/tensor/shape.ts';
import { driverEnvironment, findAdapter, probeAdapter } from './adapter.ts';

const adapter = await findAdapter();
// Vulkan's loader reads these when the first session is opened.
Object.assign(process.env, adapter?.environment);

/**
 * Relative to the largest element of a result: both sides sum in f32, in different orders, and adapters
 * round exp and tanh to some units in the last place.
 */
const OP_TOLERANCE = 3e-6;
const MODEL_TOLERANCE = 3e-5;

const cpu = createRuntime({ threads: 1 });
const gpu = createRuntime({ backend: 'webgpu', threads: 1 });
afterAll(async () => {
  await cpu.close();
  await gpu.close();
});

describe('the WebGPU backend without an adapter', () => {
  it('says what it needs', async () => {
    const said = await probeAdapter(driverEnvironment('/nonexistent.json'));
    expect(said).toMatch(/^failed: EngineError: opening a session: .*webgpu[\s\S]*vk_swiftshader_icd\.json/);
  });
});

if (!adapter) {
  it.skip(
    'the WebGPU backend was not tested: neither SwiftShader (of Chromium) nor another adapter was found',
  );
}

describe.runIf(adapter)(`WebGPU (${adapter?.name}) computes what the CPU computes`, async () => {
  const cases = await allCases();

  it.each(computingOps().map((op) => [op.name, op] as const))('op %s', async (name, op) => {
    const trial = opTrial(op, cases.get(name)!, 3);
    const results = await compare(trial.program, trial.feeds, OP_TOLERANCE);
    // And what the plain reference computes, so that no error of onnxruntime's can hide in both.
    for (const [i, { outputs }] of trial.samples.entries()) {
      for (const [j, { expected }] of outputs.entries()) {
        const reference = floats(expected.shape, Float32Array.from(expected.data));
        expectClose(results[resultName(i, j)], reference, 10 * OP_TOLERANCE, `sample ${i}`);
      }
    }
  });

  it.each([
    ['adapters', false],
    ['all', true],
  ] as const)('a transformer that trains its %s, checkpointed: %s', async (trains, checkpointed) => {
    const settings = { blocks: 2, batch: 2, tokens: 9, width: 16, heads: 2 };
    const stack = transformerStack({ ...settings, trains, checkpointed });
    await compare(stack.program, stack.feeds, MODEL_TOLERANCE, stack.weights);
  });

  it('a training step of DualReal', async () => {
    const objective = tinyObjective();
    const { weights, inputs, parameters } = randomOperands(objective);
    const [expected, actual] = await Promise.all(
      [cpu, gpu].map(async (runtime) => {
        const trainer = await runtime.createTrainer({
          tensors: Object.entries(parameters).map(([name, { shape }]) => ({ name, shape, group: 'all' })),
          optimizer: { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.01 },
        });
        await trainer.load({ parameters: new Map(Object.entries(parameters)) });
        const executable = await runtime.compile(objective, { weights, trainer });
        const result = await executable.trainStep({ microBatches: [inputs], learningRate: 1e-3 });
        const { optimizer } = await trainer.read();
        await executable.release();
        // Each first moment is a tenth of the gradient.
        const moments = [...optimizer].filter(([name]) => name.endsWith('.exp_avg'));
        return { ...result.outputs[0], ...Object.fromEntries(moments) };
      }),
    );
    for (const [name, tensor] of Object.entries(expected)) {
      expectClose(actual[name], tensor, MODEL_TOLERANCE, name);
    }
  });
});

/** Runs a program on both backends; returns what the WebGPU backend computed. */
async function compare(
  program: Program,
  feeds: Tensors,
  tolerance: number,
  weights: WeightTable = new Map(),
): Promise<Tensors> {
  const [expected, actual] = await Promise.all(
    [cpu, gpu].map(async (runtime) => {
      const executable = await runtime.compile(program, { weights });
      const results = await executable.run(feeds);
      await executable.release();
      return results;
    }),
  );
  for (const [name, tensor] of Object.entries(expected)) expectClose(actual[name], tensor, tolerance, name);
  return actual;
}

function expectClose(
  actual: { shape: Shape; data: ArrayLike<number | bigint> } | undefined,
  expected: { shape: Shape; data: ArrayLike<number | bigint> },
  tolerance: number,
  what: string,
): void {
  expect(actual?.shape, what).toEqual([...expected.shape]);
  const wanted = Array.from(expected.data, Number);
  const scale = Math.max(1e-3, ...wanted.map(Math.abs));
  for (const [i, value] of wanted.entries()) {
    const error = Math.abs(Number(actual!.data[i]) - value) / scale;
    if (!(error <= tolerance)) {
      expect.fail(`${what}, element ${i}: ${actual!.data[i]} for ${value} (scale ${scale})`);
    }
  }
}

/** Motion phase, rotary positions, one block. */
function tinyObjective(): Program {
  const config = parseTransformerConfig({
    num_attention_heads: 2,
    attention_head_dim: 16,
    in_channels: 4,
    time_embed_dim: 12,
    text_embed_dim: 8,
    num_layers: 1,
    sample_width: 8,
    sample_height: 8,
    sample_frames: 5,
    max_text_seq_length: 3,
    use_rotary_positional_embeddings: true,
  });
  const options = { ...DUALREAL_PRESETS.official, groups: 1, conditionDim: 8 };
  const shape = { batch: 2, latentFrames: 2, latentHeight: 4, latentWidth: 4, textTokens: 3 };
  return dualRealObjective(config, options, { ...shape, conditioned: true }, ['motion', 'controller']);
}

/** Random values for all that a program needs: weights, parameters that it has gradients for, and inputs. */
function randomOperands(program: Program) {
  const random = (name: string, shape: Shape) => {
    const scale = shape.length > 1 ? 1 / Math.sqrt(shape.at(-1)!) : 0.2;
    const values = randomStream(9, name).normals(sizeOf(shape));
    return floats(
      shape,
      values.map((value) => value * scale),
    );
  };
  const weights = new Map<string, FloatTensor>();
  for (const [name, { shape }] of program.weights) weights.set(name, random(name, shape));
  const [inputs, parameters]: Record<string, FloatTensor>[] = [{}, {}];
  for (const [name, { shape }] of program.inputs) {
    const isParameter = parameterGroup(name) !== undefined || program.outputs.has(GRADIENT_PREFIX + name);
    (isParameter ? parameters : inputs)[name] = random(name, shape);
  }
  inputs.timestep = floats(inputs.timestep.shape, [17, 803]);
  return { weights, inputs, parameters };
}
