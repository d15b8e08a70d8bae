import { expect } from 'vitest';
import { type Program, program, type Value } from '../graph/index.ts';
import { parseTransformerConfig } from '../models/cogvideox/transformer/index.ts';
import { createRuntime, GRADIENT_PREFIX, type Tensors } from '../runtime/index.ts';
import { asFloats, type FloatTensor, floats } from '../tensor/host-tensor.ts';
import { randomStream } from '../tensor/random.ts';
import { type Shape, sizeOf } from '../tensor/shape.ts';
import type { BatchShape, Method } from './method.ts';

/** A transformer small enough for finite differences. */
export const tinyConfig = parseTransformerConfig({
  num_attention_heads: 2,
  attention_head_dim: 16,
  in_channels: 4,
  out_channels: 4,
  time_embed_dim: 16,
  text_embed_dim: 24,
  num_layers: 4,
  sample_width: 4,
  sample_height: 4,
  sample_frames: 9,
  patch_size: 2,
  max_text_seq_length: 6,
  use_rotary_positional_embeddings: true,
});

export const tinyBatch: BatchShape = {
  batch: 2,
  latentFrames: 2,
  latentHeight: 4,
  latentWidth: 4,
  textTokens: 6,
  conditioned: false,
};

export const randomTensor = (name: string, shape: Shape, scale = 1): FloatTensor =>
  floats(
    shape,
    randomStream(1, name)
      .normals(sizeOf(shape))
      .map((value) => value * scale),
  );

/** Something for every input: random, but marks and masks of zeros and ones, and two timesteps. */
export function inputsOf(traced: Program, given: Tensors = {}): Tensors {
  const inputs: Tensors = {};
  for (const [name, { shape }] of traced.inputs) inputs[name] = given[name] ?? exampleOf(name, shape);
  return inputs;
}

function exampleOf(name: string, shape: Shape): FloatTensor {
  if (name === 'timestep') return floats(shape, [200, 900].slice(0, shape[0]));
  if (name === 'mask')
    return floats(
      shape,
      randomTensor(name, shape).data.map((x) => Number(x > 0)),
    );
  if (name === 'subjectTokens') {
    return floats(
      shape,
      Float32Array.from({ length: sizeOf(shape) }, (_, i) => Number(i % 6 === 1 || i % 6 === 2)),
    );
  }
  const isModelInput = ['latents', 'text', 'target', 'condition'].includes(name);
  return randomTensor(name, shape, isModelInput ? 1 : weightScale(name));
}

/** A weight of the random model. */
export function exampleWeight(name: string, shape: Shape): FloatTensor {
  return randomTensor(name, shape, weightScale(name));
}

/** Gains near one, so that a random model is a tame one. */
function weightScale(name: string): number {
  return /norm.*weight/.test(name) ? 1 : 0.2;
}

/** A program with random weights, which are the same for every program of equal names. */
async function open(traced: Program, weights: Tensors) {
  const runtime = createRuntime({ inline: true, threads: 1 });
  const table = new Map(
    [...traced.weights].map(([name, { shape }]) => [name, weights[name] ?? exampleWeight(name, shape)]),
  );
  const executable = await runtime.compile(traced, { weights: table });
  const needed = [...traced.inputs.keys()];
  return {
    run: (inputs: Tensors) => executable.run(Object.fromEntries(needed.map((name) => [name, inputs[name]]))),
    close: () => runtime.close(),
  };
}

/** Runs a program once; see {@link open}. */
export async function run(traced: Program, inputs: Tensors, weights: Tensors = {}): Promise<Tensors> {
  const opened = await open(traced, weights);
  try {
    return await opened.run(inputs);
  } finally {
    await opened.close();
  }
}

/** The values of a few results, for inputs given by name. */
export async function valuesOf(outputs: Readonly<Record<string, Value>>, inputs: Tensors) {
  const results = await run(program('values', outputs), inputs);
  return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, asFloats(tensor)]));
}

export function gradientNames(traced: Program): string[] {
  return [...traced.outputs.keys()]
    .filter((name) => name.startsWith(GRADIENT_PREFIX))
    .map((name) => name.slice(GRADIENT_PREFIX.length));
}

/**
 * The gradients of a phase's program against central differences of its loss along a random direction
 * through all learning parameters, one such for each of the `slices` of their names; and exactly the
 * parameters of the phase's groups have gradients.
 */
export async function expectGradients(
  method: Method,
  { stage, phase }: { readonly stage: string; readonly phase: string },
  shape: BatchShape,
  slices: readonly RegExp[] = [/./],
): Promise<void> {
  const traced = method.objective({ config: tinyConfig, stage, phase, shape });
  const inputs = inputsOf(traced);
  const names = gradientNames(traced);
  const { learning } = method.stages
    .find(({ name }) => name === stage)!
    .phases.find(({ name }) => name === phase)!;
  const expected = [...method.parameters(tinyConfig)].filter(([, { group }]) => learning.includes(group));
  expect(names.sort()).toEqual(expected.map(([name]) => name).sort());
  const opened = await open(traced, {});
  try {
    const results = await opened.run(inputs);
    for (const slice of slices) {
      const moving = names.filter((name) => slice.test(name));
      expect(moving.length, String(slice)).toBeGreaterThan(0);
      const moves = new Map(
        moving.map((name) => [name, directionOf(name, asFloats(results[GRADIENT_PREFIX + name]))]),
      );
      const lossAt = async (distance: number) => {
        const moved = [...moves].map(([name, move]) => [
          name,
          movedBy(asFloats(inputs[name]), move, distance),
        ]);
        return Number((await opened.run({ ...inputs, ...Object.fromEntries(moved) })).loss.data[0]);
      };
      const predicted = [...moves].reduce((sum, [name, move]) => {
        const gradient = asFloats(results[GRADIENT_PREFIX + name]).data;
        return sum + gradient.reduce((part, value, i) => part + value * move[i], 0);
      }, 0);
      const step = Math.min(LONGEST_STEP, LOSS_CHANGE / predicted);
      const measured = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
      expect(Math.abs(measured / predicted - 1), `${slice}: ${predicted} for ${measured}`).toBeLessThan(0.01);
    }
  } finally {
    await opened.close();
  }
}

/** Far above the rounding of an f32 loss, and small enough for its curvature. */
const LOSS_CHANGE = 0.01;
const LONGEST_STEP = 0.01;

/** Random lengths, uphill, so that no two parameters cancel; where the gradient is zero, anywhere. */
function directionOf(name: string, gradient: FloatTensor): Float32Array {
  const { data } = randomTensor(`direction ${name}`, gradient.shape);
  return data.map((value, i) =>
    gradient.data[i] === 0 ? value : Math.abs(value) * Math.sign(gradient.data[i]),
  );
}

function movedBy({ shape, data }: FloatTensor, move: Float32Array, distance: number): FloatTensor {
  return floats(
    shape,
    data.map((value, i) => value + distance * move[i]),
  );
}
