import { describe, expect, it } from 'vitest';
import { floats, type HostTensor } from '../../tensor/host-tensor.ts';
import { expectGradients, inputsOf, randomTensor, run, tinyBatch, tinyConfig } from '../trial.cases.ts';
import { fullMethod } from './method.ts';

const method = fullMethod();

describe('full fine-tuning', () => {
  it.each(['identity', 'motion'])(
    '%s: gradients of every tensor agree with finite differences',
    async (stage) => {
      await expectGradients(method, { stage, phase: stage }, tinyBatch, [
        /patch_embed/,
        /time_embedding/,
        /norm1|norm2/,
        /norm_[qk]/,
        /to_[qkv]|to_out/,
        /ff\.net/,
        /norm_final|norm_out|proj_out/,
      ]);
    },
  );

  it('tunes identity, then motion, all weights in both', () => {
    expect(method.stages.map(({ name, phases }) => [name, phases.map(({ data }) => data)])).toEqual([
      ['identity', ['identity']],
      ['motion', ['motion']],
    ]);
    for (const { groups, phases } of method.stages) {
      expect(groups).toEqual(['transformer']);
      expect(phases[0].learning).toEqual(groups);
    }
  });

  it('starts from the base, and samples with the same names as weights', async () => {
    const declared = method.parameters(tinyConfig);
    const base = new Map([...declared].map(([name, { shape }]) => [name, randomTensor(name, shape)]));
    const initial = await method.initial(tinyConfig, { seed: 1, base: async (name) => base.get(name)! });
    expect(initial).toEqual(base);
    const request = { config: tinyConfig, shape: tinyBatch, guided: false };
    const frozen = method.sampling(request);
    expect([...frozen.weights.keys()].sort()).toEqual([...declared.keys()].sort());
    const live = method.sampling({ ...request, live: ['transformer'] });
    expect(live.weights.size).toBe(0);
    const inputs = inputsOf(live);
    const asWeights = Object.fromEntries([...declared.keys()].map((name) => [name, inputs[name]]));
    const a = await run(frozen, inputs, asWeights);
    const b = await run(live, inputs);
    for (const [i, value] of (a.output.data as Float32Array).entries()) {
      expect(Math.abs(value - Number(b.output.data[i]))).toBeLessThan(1e-5);
    }
  });

  it('refuses a base with another shape, naming the tensor', async () => {
    const declared = method.parameters(tinyConfig);
    const base = async (name: string): Promise<HostTensor> =>
      name === 'proj_out.bias' ? floats([3], [1, 2, 3]) : randomTensor(name, declared.get(name)!.shape);
    await expect(method.initial(tinyConfig, { seed: 1, base })).rejects.toThrow(/proj_out\.bias/);
  });
});
