import { expect, it } from 'vitest';
import { input, reshape, slice, type Value } from '../../src/graph/index.ts';
import { createFlowEstimator } from '../../src/models/raft/flow-estimator.ts';
import { parseRaftConfig, plainRaftWeights, raftFlow } from '../../src/models/raft/index.ts';
import { Parameters } from '../../src/nn/parameters.ts';
import { createRuntime, requireWeights, type WeightTable } from '../../src/runtime/index.ts';
import type { HostTensor } from '../../src/tensor/host-tensor.ts';
import { sizeOf } from '../../src/tensor/shape.ts';
import { evaluate } from './evaluate.ts';
import { describeGolden, expectClose, type Golden, type GoldenTensors, statedTolerance } from './golden.ts';
import { madeWeights, type WeightRecipe } from './recipe-weights.ts';

for (const folder of ['raft-small', 'raft-basic']) {
  describeGolden(folder, async (golden) => {
    const { weights: recipes, ...json } = golden.json<{ weights?: WeightRecipe[] }>('config.json');
    const config = parseRaftConfig(json, golden.path('config.json'));
    const io = await golden.tensors('io.safetensors');
    const weights = await weightsOf(golden, recipes);
    const tolerance = { abs: statedTolerance(golden, 3.5e-4) };

    if (recipes && io.has('weights_check')) {
      it('weights follow their recipe', () => {
        const first = [...weights.values()][0] as HostTensor<'f32'>;
        const expected = io.get('weights_check');
        expectClose(first.data.subarray(0, sizeOf(expected.shape)), expected, {}, 'first weights');
      });
    }

    it('every recorded tensor', async () => {
      const [first, second] = ['image1', 'image2'].map((name) => io.floats(`in.${name}`));
      const parameters = new Parameters();
      const probed = new Map<string, Value>();
      const flow = raftFlow(
        config,
        parameters.root,
        { first: input('first', first.shape), second: input('second', second.shape) },
        (name, value) => probed.set(name, value),
      );
      probed.set(`flow_iter${config.iterations - 1}`, flow);
      requireWeights(folder, parameters.declared, weights);
      const recorded = io.matching(/^out\.(.+)$/).map(([, name]) => name);
      const values = Object.fromEntries(recorded.map((name) => [name, recordedPart(io, name, probed)]));
      const results = await evaluate(values, weights, { first, second });
      for (const name of recorded) expectClose(results[name], io.get(`out.${name}`), tolerance, name);
    });

    it('the estimator that workflows use', async () => {
      const runtime = createRuntime({ inline: true, threads: 2 });
      const estimator = createFlowEstimator(runtime, { config: json, weights });
      const flow = await estimator.estimate(io.floats('in.image1'), io.floats('in.image2'));
      const name = `out.flow_iter${config.iterations - 1}`;
      expectClose(flow, io.get(name), tolerance, name);
      await runtime.close();
    });
  });
}

/** Of a probed value what the folder keeps of it: some rows or channels. */
function recordedPart(io: GoldenTensors, name: string, probed: ReadonlyMap<string, Value>): Value {
  const row = /^(.+)_row(\d+)$/.exec(name);
  const value = probed.get(row ? row[1] : name);
  if (!value) expect.fail(`the model records no ${name}`);
  if (row) {
    const [batch, channels, , width] = value.shape;
    const at = Number(row[2]);
    return reshape(slice(value, 2, at, at + 1), [batch, channels, width]);
  }
  const [, channels] = io.get(`out.${name}`).shape;
  // The large model's folder keeps the first channels of fmap1 and evenly spaced ones of cnet.
  if (name === 'cnet') return slice(value, 1, 0, value.shape[1], value.shape[1] / channels);
  return slice(value, 1, 0, channels);
}

async function weightsOf(golden: Golden, recipes: readonly WeightRecipe[] | undefined): Promise<WeightTable> {
  if (!recipes) return plainRaftWeights(new Map(await golden.tensors('model.safetensors')));
  return plainRaftWeights(madeWeights(recipes));
}
