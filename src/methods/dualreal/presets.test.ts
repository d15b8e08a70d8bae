import { describe, expect, it } from 'vitest';
import { type Program, program } from '../../graph/index.ts';
import { parseTransformerConfig } from '../../models/cogvideox/transformer/index.ts';
import { createRuntime, GRADIENT_PREFIX, type Tensors } from '../../runtime/index.ts';
import { asFloats, type FloatTensor, floats } from '../../tensor/host-tensor.ts';
import { randomStream } from '../../tensor/random.ts';
import { type Shape, sizeOf } from '../../tensor/shape.ts';
import { initialParameters } from './initialize.ts';
import { parameterGroup } from './names.ts';
import { dualRealObjective, traceDualReal } from './objective.ts';
import { DUALREAL_PRESETS, type DualRealOptions, GroupCountError, requireGroups } from './options.ts';

const config = parseTransformerConfig({
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
const shape = {
  batch: 2,
  latentFrames: 2,
  latentHeight: 4,
  latentWidth: 4,
  textTokens: 6,
  conditioned: true,
};
const small = { bottleneck: 8, conditionDim: 12, groups: 2 };
const adapters = ['identity', 'motion', 'condition'] as const;
const everything = [...adapters, 'controller'] as const;

const random = (name: string, extents: Shape, scale = 1): FloatTensor =>
  floats(
    extents,
    randomStream(1, name)
      .normals(sizeOf(extents))
      .map((value) => value * scale),
  );

/** Differences from the release, one at a time, and the two other presets. */
const single: Partial<DualRealOptions>[] = [
  { placement: 'block' },
  { weightTotal: 1 },
  { weightActivation: 'softmax' },
  { weightFloor: 0.3 },
  { weightScales: 'motion' },
  { geluPlacement: 'outside' },
  { skip: false },
  { conditionForm: 'multiply' },
  { controllerOrder: 'mlp-modulate' },
  { pooling: 'mean' },
  { groups: 0 },
];
const cases = [
  ...single.map((difference) => ({
    name: JSON.stringify(difference),
    options: { ...DUALREAL_PRESETS.official, ...small, ...difference },
  })),
  { name: 'paper', options: { ...DUALREAL_PRESETS.paper, ...small } },
  { name: 'clean', options: { ...DUALREAL_PRESETS.clean, ...small } },
];

describe('presets and their single differences', () => {
  it.each(cases)('$name: gradients agree with finite differences', async ({ options }) => {
    const objective = dualRealObjective(config, options, shape, everything);
    const inputs = inputsOf(objective);
    const results = await run(objective, inputs);
    const names = [...objective.outputs.keys()].filter((name) => name.startsWith(GRADIENT_PREFIX));
    expect(new Set(names.map((name) => parameterGroup(name.slice(GRADIENT_PREFIX.length))))).toEqual(
      new Set(options.groups === 0 ? adapters : everything),
    );
    // Along one random direction through all parameters at once.
    const directions = new Map(names.map((name) => [name.slice(GRADIENT_PREFIX.length), name] as const));
    let predicted = 0;
    const step = 2e-3;
    const moved = (sign: number): Tensors => {
      const out: Tensors = { ...inputs };
      for (const parameter of directions.keys()) {
        const value = asFloats(inputs[parameter]);
        const direction = random(`direction ${parameter}`, value.shape, 0.3);
        out[parameter] = floats(
          value.shape,
          value.data.map((x, i) => x + sign * step * direction.data[i]),
        );
      }
      return out;
    };
    for (const [parameter, output] of directions) {
      const gradient = asFloats(results[output]);
      const direction = random(`direction ${parameter}`, gradient.shape, 0.3);
      predicted += gradient.data.reduce((sum, value, i) => sum + value * direction.data[i], 0);
    }
    const lossOf = async (values: Tensors) => Number((await run(objective, values)).loss.data[0]);
    const measured = ((await lossOf(moved(1))) - (await lossOf(moved(-1)))) / (2 * step);
    expect(Math.abs(measured - predicted)).toBeLessThan(2e-2 * Math.max(0.05, Math.abs(predicted)));
  });

  it('clean and paper leave the base model as it is at step 0; official shifts it', async () => {
    for (const [name, untouched] of [
      ['clean', true],
      ['paper', true],
      ['official', false],
    ] as const) {
      const options = { ...DUALREAL_PRESETS[name], ...small };
      const adapted = traceDualReal(config, options, shape);
      const bare = traceDualReal(config, options, shape, { dimensions: [] });
      const traced = program(name, { adapted: adapted.output });
      const initial = initialParameters(
        new Map([...adapted.parameters.declared].filter(([, { trainable }]) => trainable)),
        3,
      );
      const inputs = { ...inputsOf(traced), ...Object.fromEntries(initial) };
      const a = asFloats((await run(traced, inputs)).adapted).data;
      const base = program('base', { bare: bare.output });
      const b = asFloats((await run(base, inputsOf(base))).bare).data;
      const worst = a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
      if (untouched) expect(worst, name).toBeLessThan(1e-5);
      else expect(worst, name).toBeGreaterThan(1e-2);
    }
  });

  it.each([
    [0, 0, 1],
    [0.3, 0.3, 0.7],
  ])('with a floor of %d a controller at its ends gives %d and %d', async (weightFloor, low, high) => {
    const options = { ...DUALREAL_PRESETS.clean, ...small, weightFloor };
    const { injection } = traceDualReal(config, options, shape);
    const traced = program('weights', { weights: injection.identityWeights() });
    const bias = 'controller.fusion_net.3.bias';
    expect([...traced.inputs.keys()]).toContain(bias);
    for (const [logit, expected] of [
      [-100, low],
      [100, high],
    ]) {
      const inputs = { ...inputsOf(traced), [bias]: floats([2], [logit, logit]) };
      const { weights } = await run(traced, inputs);
      for (const value of asFloats(weights).data) expect(value).toBeCloseTo(expected, 5);
    }
  });

  it('refuses groups that do not divide the blocks, naming those that do', () => {
    expect(() => requireGroups(3, 14)).toThrow(GroupCountError);
    expect(() => requireGroups(3, 14)).toThrow(/1, 2, 7, 14/);
    expect(() => requireGroups(7, 14)).not.toThrow();
  });
});

function inputsOf(traced: Program): Tensors {
  const inputs: Tensors = {};
  for (const [name, { shape: extents }] of traced.inputs) {
    const isParameter = parameterGroup(name) !== undefined;
    inputs[name] =
      name === 'timestep' ? floats(extents, [200, 900]) : random(name, extents, isParameter ? 0.3 : 1);
  }
  return inputs;
}

async function run(traced: Program, inputs: Tensors): Promise<Tensors> {
  const runtime = createRuntime({ inline: true, threads: 1 });
  const weights = new Map([...traced.weights].map(([name, value]) => [name, random(name, value.shape, 0.2)]));
  const executable = await runtime.compile(traced, { weights });
  const needed = Object.fromEntries([...traced.inputs.keys()].map((name) => [name, inputs[name]]));
  const results = await executable.run(needed);
  await runtime.close();
  return results;
}
