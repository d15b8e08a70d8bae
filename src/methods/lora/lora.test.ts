import { describe, expect, it } from 'vitest';
import { program } from '../../graph/index.ts';
import { cogVideoXTransformer } from '../../models/cogvideox/transformer/index.ts';
import { Parameters } from '../../nn/parameters.ts';
import { floats } from '../../tensor/host-tensor.ts';
import { modelInputs } from '../objective.ts';
import { expectGradients, inputsOf, randomTensor, run, tinyBatch, tinyConfig } from '../trial.cases.ts';
import { injectLora } from './inject.ts';
import { fuseLora, initialLora, joinLoras, type Lora, layersOf, loraOf, loraTensors } from './lora.ts';
import { loraMethod } from './method.ts';
import { LORA_TARGETS, type LoraOptions } from './options.ts';

const options: LoraOptions = { rank: 3, alpha: 6, targets: [...LORA_TARGETS] };
const method = loraMethod(options);

/** A set with B as well as A filled. */
function trained(name: string, over: Partial<LoraOptions> = {}): Lora {
  const own = { ...options, ...over };
  const tensors = [...loraMethod(own).parameters(tinyConfig)].map(
    ([path, { shape }]) => [path, randomTensor(path, shape, 0.2)] as const,
  );
  return loraOf(new Map(tensors), name, tinyConfig, own);
}

function modelWith(sets: readonly { name: string; lora: Lora; weight?: number }[]) {
  const parameters = new Parameters();
  const adapters = sets.map(({ name, lora, weight }) => ({ name, layers: layersOf(lora, weight) }));
  const hooks = injectLora(parameters.root, adapters);
  const output = cogVideoXTransformer(tinyConfig, parameters.root, modelInputs(tinyConfig, tinyBatch), {
    hooks,
  });
  return { traced: program('lora', { output }), parameters };
}

describe('LoRA', () => {
  it.each(['identity', 'motion'])('%s: gradients agree with finite differences', async (dimension) => {
    await expectGradients(method, { stage: dimension, phase: dimension }, tinyBatch, [/lora_A/, /lora_B/]);
  });

  it('trains only the chosen layers', () => {
    const parameters = loraMethod({ ...options, targets: ['to_k'] }).parameters(tinyConfig);
    expect([...parameters.keys()]).toEqual(
      ['identity', 'motion'].flatMap((name) =>
        [0, 1, 2, 3].flatMap((block) =>
          ['A', 'B'].map((matrix) => `transformer_blocks.${block}.attn1.to_k.lora_${matrix}.${name}.weight`),
        ),
      ),
    );
  });

  it('starts as the base model, with A within ±1/√in and not small', async () => {
    const initial = initialLora(method.parameters(tinyConfig), 5);
    for (const [name, { data, shape }] of initial) {
      const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const bound = 1 / Math.sqrt(shape[1]);
      if (name.includes('lora_B')) expect(largest).toBe(0);
      else expect(largest / bound).toBeGreaterThan(0.8);
      expect(largest).toBeLessThanOrEqual(bound);
    }
    const adapted = method.sampling({ config: tinyConfig, shape: tinyBatch, guided: false });
    const base = modelWith([]).traced;
    const inputs = inputsOf(base);
    const { output } = await run(adapted, inputs, Object.fromEntries(initial));
    expect(output).toEqual((await run(base, inputs)).output);
  });

  it('the model with hooks is the model with fused weights, for two sets with weights', async () => {
    const sets = [
      { name: 'identity', lora: trained('identity'), weight: 1 },
      { name: 'motion', lora: trained('motion', { rank: 5, targets: ['to_q', 'to_out.0'] }), weight: 0.3 },
    ];
    const hooked = modelWith(sets).traced;
    const plain = modelWith([]);
    const weights = new Map(
      [...plain.parameters.declared].map(([name, { shape }]) => [name, randomTensor(name, shape, 0.2)]),
    );
    const fused = fuseLora(weights, sets);
    expect([...fused.keys()]).toHaveLength(4 * LORA_TARGETS.length);
    const matrices = sets.flatMap(({ name, lora }) => [...loraTensors(lora, name)]);
    const inputs = inputsOf(hooked);
    const throughHooks = await run(hooked, inputs, Object.fromEntries([...weights, ...matrices]));
    const throughWeights = await run(plain.traced, inputs, Object.fromEntries([...weights, ...fused]));
    const without = await run(plain.traced, inputs, Object.fromEntries(weights));
    const far = (a: ArrayLike<number | bigint>, b: ArrayLike<number | bigint>) =>
      Array.from(a).reduce<number>((most, x, i) => Math.max(most, Math.abs(Number(x) - Number(b[i]))), 0);
    expect(far(throughHooks.output.data, throughWeights.output.data)).toBeLessThan(2e-4);
    expect(far(throughHooks.output.data, without.output.data)).toBeGreaterThan(0.1);
  });

  it('the sampling program adds both sets', async () => {
    const sets = ['identity', 'motion'].map((name) => ({ name, lora: trained(name) }));
    const tensors = Object.fromEntries(sets.flatMap(({ name, lora }) => [...loraTensors(lora, name)]));
    const sampling = method.sampling({ config: tinyConfig, shape: tinyBatch, guided: false });
    const { traced } = modelWith(sets);
    const inputs = inputsOf(traced);
    expect((await run(sampling, inputs, tensors)).output).toEqual(
      (await run(traced, inputs, tensors)).output,
    );
  });

  it('fuses by hand-worked numbers: W + weight·scale·B·A', () => {
    const weights = new Map([['layer.weight', floats([2, 2], [1, 2, 3, 4])]]);
    const lora = new Map([
      ['layer', { down: floats([1, 2], [1, -1]), up: floats([2, 1], [2, 3]), scale: 0.5 }],
    ]);
    const fused = fuseLora(weights, [{ lora }, { lora, weight: 2 }]);
    // B·A = [[2, -2], [3, -3]], times 0.5·(1 + 2).
    expect([...fused.get('layer.weight')!.data]).toEqual([4, -1, 7.5, -0.5]);
  });

  it('sets joined into one update the weights as the sets do, whatever their ranks, scales and layers', () => {
    const sets = [
      trained('identity'),
      trained('motion', { rank: 5, alpha: 2, targets: ['to_q', 'to_out.0'] }),
    ];
    const weights = new Map(
      [...sets[0]].map(([path, { down, up }]) => [
        `${path}.weight`,
        randomTensor(path, [up.shape[0], down.shape[1]]),
      ]),
    );
    const apart = fuseLora(
      weights,
      sets.map((lora) => ({ lora })),
    );
    const joined = joinLoras(sets);
    expect(joined.get('transformer_blocks.1.attn1.to_q')!.down.shape[0]).toBe(8);
    expect(joined.get('transformer_blocks.1.attn1.to_k')).toBe(
      sets[0].get('transformer_blocks.1.attn1.to_k'),
    );
    for (const [name, { data }] of fuseLora(weights, [{ lora: joined }])) {
      for (const [i, value] of data.entries()) expect(value).toBeCloseTo(apart.get(name)!.data[i], 5);
    }
  });

  it('lists every layer that does not fit', () => {
    const weights = new Map([['small.weight', floats([1, 1], [1])]]);
    const module = { down: floats([1, 2], [1, 1]), up: floats([2, 1], [1, 1]), scale: 1 };
    const lora = new Map([
      ['small', module],
      ['missing', module],
    ]);
    expect(() => layersOf(lora)).toThrow(/small, missing[\s\S]*fuse it into the weights/);
    expect(() => fuseLora(weights, [{ lora }])).toThrow(
      /small \[2, 2\] for a layer \[1, 1\]; missing, which the base does not have/,
    );
  });
});
