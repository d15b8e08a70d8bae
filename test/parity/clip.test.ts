import { expect, it } from 'vitest';
import { input, transposeLast, type Value } from '../../src/graph/index.ts';
import { clipRecipe } from '../../src/media/preprocess.ts';
import {
  clipImageFeatures,
  clipLogits,
  clipTextFeatures,
  isClipBuffer,
  parseClipConfig,
} from '../../src/models/clip/index.ts';
import { unitLength } from '../../src/models/contrast.ts';
import { createContrastiveTextEncoder } from '../../src/models/contrastive-text-encoder.ts';
import { createImageEncoder } from '../../src/models/image-encoder.ts';
import { Parameters } from '../../src/nn/parameters.ts';
import { createRuntime, requireWeights } from '../../src/runtime/index.ts';
import { evaluate } from './evaluate.ts';
import { describeGolden, expectClose, statedTolerance } from './golden.ts';
import { noTokenizer, rowOf } from './recorded-ids.ts';

const LOGITS = { abs: 5e-4 };

describeGolden('clip', async (golden) => {
  const config = parseClipConfig(golden.json('config.json'), golden.path('config.json'));
  const io = await golden.tensors('io.safetensors');
  const weights = new Map(await golden.tensors('model.safetensors'));
  const tolerance = { abs: statedTolerance(golden, 2e-5) };
  const [ids, mask, pixels] = [io.get('input_ids'), io.floats('attention_mask'), io.floats('pixel_values')];

  it('every recorded tensor of both towers', async () => {
    const parameters = new Parameters();
    const values: Record<string, Value> = {};
    const probe = (name: string, value: Value) => {
      values[name] = value;
    };
    const images = clipImageFeatures(config, parameters.root, input('pixels', pixels.shape), probe);
    const words = input('ids', ids.shape, 'i64');
    const textInputs = { ids: words, mask: input('mask', mask.shape) };
    const texts = clipTextFeatures(config, parameters.root, textInputs, probe);
    const logits = clipLogits(parameters.root, images, texts);
    Object.assign(values, {
      image_features: images,
      image_embeds: unitLength(images),
      text_features: texts,
      text_embeds: unitLength(texts),
      text_embeds_no_mask: unitLength(clipTextFeatures(config, parameters.root, { ids: words })),
      logits_per_image: logits,
      logits_per_text: transposeLast(logits),
    });
    requireWeights(golden.folder, parameters.declared, weights, isClipBuffer);

    const recorded = io.matching(/^out\.(.+)$/).map(([, name]) => name);
    expect(Object.keys(values).sort()).toEqual(recorded.sort());
    const results = await evaluate(values, weights, { pixels, ids, mask });
    for (const name of recorded) {
      const bound = name.startsWith('logits') ? LOGITS : tolerance;
      expectClose(results[name], io.get(`out.${name}`), bound, name);
    }
  });

  it('the encoders that workflows use', async () => {
    const runtime = createRuntime({ inline: true, threads: 2 });
    const source = { config: golden.json('config.json'), weights, maxBatch: 1 };
    const encoder = createImageEncoder(runtime, source);
    expectClose(await encoder.encode(pixels), io.get('out.image_features'), tolerance, 'image features');
    expect(encoder.preprocessing).toEqual(clipRecipe(config.vision.imageSide));
    let row = 0;
    const recordedIds = {
      ...noTokenizer,
      encode: () => ({ ids: rowOf(ids, row++), usedTokens: 1, cut: undefined }),
    };
    const texts = createContrastiveTextEncoder(runtime, { ...source, tokenizer: recordedIds });
    const { embeddings } = await texts.encode(new Array<string>(ids.shape[0]).fill(''));
    expectClose(embeddings, io.get('out.text_features'), tolerance, 'text features');
    await runtime.close();
  });
});
