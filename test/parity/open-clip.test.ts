import { expect, it } from 'vitest';
import { input, type Value } from '../../src/graph/index.ts';
import { clipRecipe } from '../../src/media/preprocess.ts';
import { createImageEncoder } from '../../src/models/image-encoder.ts';
import {
  openClipImageFeatures,
  openClipLogits,
  openClipTextFeatures,
  parseOpenClipConfig,
} from '../../src/models/open-clip/index.ts';
import { Parameters } from '../../src/nn/parameters.ts';
import { createRuntime, requireWeights } from '../../src/runtime/index.ts';
import { openWeights } from '../../src/store/weights.ts';
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

  // The official weights file is a pickle; its tensors are read where they lie.
  const files = ['model.safetensors', 'open_clip_pytorch_model.bin'].filter((file) => golden.has(file));
  it.each(files)('the encoder that workflows use, on %s', async (file) => {
    const runtime = createRuntime({ inline: true, threads: 2 });
    const { entries } = await openWeights(golden.path(file));
    const encoder = createImageEncoder(runtime, { config: golden.json('config.json'), weights: entries });
    expectClose(await encoder.encode(pixels), io.get('out.image_features'), tolerance, 'image features');
    expect(encoder.preprocessing).toEqual(clipRecipe(config.vision.imageSide));
    await runtime.close();
  });
});
