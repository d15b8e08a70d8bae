import { expect, it } from 'vitest';
import { input, type Value } from '../../src/graph/index.ts';
import {
  openClipImageFeatures,
  openClipLogits,
  openClipTextFeatures,
  parseOpenClipConfig,
} from '../../src/models/open-clip/index.ts';
import { Parameters } from '../../src/nn/parameters.ts';
import { requireWeights } from '../../src/runtime/index.ts';
import { evaluate } from './evaluate.ts';
import { describeGolden, expectClose, statedTolerance } from './golden.ts';

describeGolden('open-clip-vith', async (golden) => {
  const config = parseOpenClipConfig(golden.json('config.json'), golden.path('config.json'));
  const io = await golden.tensors('io.safetensors');
  const weights = new Map(await golden.tensors('model.safetensors'));
  const tolerance = { abs: statedTolerance(golden, 2.4e-5) };
  const [ids, pixels] = [io.get('input_ids'), io.floats('pixel_values')];

  it('every recorded tensor of both towers', async () => {
    const parameters = new Parameters();
    const { root } = parameters;
    const values: Record<string, Value> = {};
    const image = input('pixels', pixels.shape);
    const features = openClipImageFeatures(config, root, image, (name, value) => {
      values[`out.${name}`] = value;
    });
    values['out.image_features'] = features;
    values['out.text_features'] = openClipTextFeatures(config, root, input('ids', ids.shape, 'i64'));
    const logits = openClipLogits(root, features, values['out.text_features']);
    expect(logits.shape).toEqual([pixels.shape[0], ids.shape[0]]);
    values['wrong.image_features_if_quick_gelu'] = openClipImageFeatures(
      { ...config, quickGelu: true },
      root,
      image,
    );
    requireWeights(golden.folder, parameters.declared, weights);

    const recorded = io.names().filter((name) => /^(out|wrong)\./.test(name));
    expect(Object.keys(values).sort()).toEqual(recorded.sort());
    const results = await evaluate(values, weights, { pixels, ids });
    for (const name of recorded) expectClose(results[name], io.get(name), tolerance, name);
  });
});
