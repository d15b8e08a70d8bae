import { expect, it } from 'vitest';
import { input, slice, type Value } from '../../src/graph/index.ts';
import { planes } from '../../src/media/preprocess.ts';
import { amtMiddle, createImageInterpolator, parseAmtConfig } from '../../src/models/amt/index.ts';
import { evenMargins, withEdges } from '../../src/models/edges.ts';
import { Parameters } from '../../src/nn/parameters.ts';
import { createRuntime, requireWeights } from '../../src/runtime/index.ts';
import type { HostTensor } from '../../src/tensor/host-tensor.ts';
import { evaluate } from './evaluate.ts';
import { describeGolden, expectClose, statedTolerance } from './golden.ts';
import { madeWeights, type WeightRecipe } from './recipe-weights.ts';

/** Rows that the folder keeps of full-size fields. */
const ROWS = [60, 64] as const;
const PARTS = /^(flow[01]_1|mask|residue)$/;
const UNIT = Float32Array.from({ length: 256 }, (_, value) => Math.fround(value / 255));

describeGolden('amt-s', async (golden) => {
  const { weights: recipes, ...json } = golden.json<{ weights: WeightRecipe[] }>('config.json');
  const config = parseAmtConfig(json, golden.path('config.json'));
  const io = await golden.tensors('io.safetensors');
  const weights = madeWeights(recipes);
  const tolerance = { abs: statedTolerance(golden, 5.9e-5) };
  const [first, second] = ['image0', 'image1'].map((name) => {
    const image = io.get(`in.${name}`) as HostTensor<'u8'>;
    return planes({ ...image, shape: [1, ...image.shape] }, [UNIT, UNIT, UNIT]);
  });
  const [, , height, width] = first.shape;

  it('every recorded tensor', async () => {
    const margins = evenMargins(height, width, 16);
    const [a, b] = [first, second].map((image) => withEdges(image, margins));
    const parameters = new Parameters();
    const probed = new Map<string, Value>();
    amtMiddle(
      config,
      parameters.root,
      { first: input('first', a.shape), second: input('second', b.shape) },
      (name, value) => probed.set(name, value),
    );
    requireWeights('amt-s', parameters.declared, weights);
    const recorded = io.matching(/^out\.(?!frame)(.+)$/).map(([, name]) => name);
    expect(recorded.length).toBeGreaterThan(10);
    const values = Object.fromEntries(
      recorded.map((name) => {
        const value = probed.get(name);
        if (!value) expect.fail(`the model records no ${name}`);
        const rows = PARTS.test(name) ? slice(value, 2, ...ROWS) : value;
        return [name, slice(rows, 1, 0, io.get(`out.${name}`).shape[1])];
      }),
    );
    const results = await evaluate(values, weights, { first: a, second: b });
    for (const name of recorded) expectClose(results[name], io.get(`out.${name}`), tolerance, name);
  });

  it('the frame that motion smoothness compares', async () => {
    const runtime = createRuntime({ inline: true, threads: 2 });
    const interpolator = createImageInterpolator(runtime, { config: json, weights });
    const { data } = await interpolator.middle(first, second);
    const area = height * width;
    const bytes = Array.from({ length: area * 3 }, (_, i) =>
      Math.trunc(Math.fround(data[(i % 3) * area + Math.floor(i / 3)] * 255)),
    );
    expectClose(bytes, io.get('out.frame'), { abs: 1 }, 'frame');
    await runtime.close();
  });
});
