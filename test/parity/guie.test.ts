import { expect, it } from 'vitest';
import { input, type Value } from '../../src/graph/index.ts';
import { guieFeatures, parseGuieConfig, plainGuieWeights } from '../../src/models/guie/index.ts';
import { createImageEncoder } from '../../src/models/image-encoder.ts';
import { Parameters } from '../../src/nn/parameters.ts';
import { createRuntime } from '../../src/runtime/index.ts';
import { openWeights } from '../../src/store/weights.ts';
import { evaluate } from './evaluate.ts';
import { describeGolden, expectClose, statedTolerance } from './golden.ts';

describeGolden('guie-vith', async (golden) => {
  const config = parseGuieConfig(golden.json('config.json'), golden.path('config.json'));
  const io = await golden.tensors('io.safetensors');
  const { entries } = await openWeights(golden.path('model.pth'));
  const weights = plainGuieWeights(entries);
  const tolerance = { abs: statedTolerance(golden, 1.5e-5) };
  const pixels = io.floats('pixel_values');

  it('every recorded tensor', async () => {
    const values: Record<string, Value> = {};
    const image = input('pixels', pixels.shape);
    const embedding = guieFeatures(config, new Parameters().root, image, (name, value) => {
      values[`out.${name}`] = value;
    });
    values['out.embedding'] = embedding;
    const recorded = io.names().filter((name) => name.startsWith('out.'));
    expect(recorded.length).toBeGreaterThan(3);
    const results = await evaluate(
      Object.fromEntries(recorded.map((name) => [name, values[name]])),
      weights,
      { pixels },
    );
    for (const name of recorded) expectClose(results[name], io.get(name), tolerance, name);
  });

  it('the encoder that metrics use leaves the margin head aside', async () => {
    const runtime = createRuntime({ inline: true, threads: 2 });
    const encoder = createImageEncoder(runtime, { config: golden.json('config.json'), weights });
    expect(encoder).toMatchObject({ family: 'guie', embeddingDim: config.embeddingDim });
    expectClose(await encoder.encode(pixels), io.get('out.embedding'), tolerance, 'embedding');
    await runtime.close();
  });
});
