import { expect, it } from 'vitest';
import { input, type Value } from '../../src/graph/index.ts';
import { dinoRecipe } from '../../src/media/preprocess.ts';
import { dinoFeatures, parseDinoConfig } from '../../src/models/dino/index.ts';
import { createImageEncoder } from '../../src/models/image-encoder.ts';
import { Parameters } from '../../src/nn/parameters.ts';
import { createRuntime, requireWeights } from '../../src/runtime/index.ts';
import { evaluate } from './evaluate.ts';
import { describeGolden, expectClose, statedTolerance } from './golden.ts';

describeGolden('dino-vits16', async (golden) => {
  const config = parseDinoConfig(golden.json('config.json'), golden.path('config.json'));
  const io = await golden.tensors('io.safetensors');
  const weights = new Map(await golden.tensors('model.safetensors'));
  const tolerance = { abs: statedTolerance(golden, 1.9e-5) };

  const cases = io.matching(/^(\w+)\.in$/).map(([, name]) => name);
  it.each(cases)('%s: every recorded tensor', async (name) => {
    const pixels = io.floats(`${name}.in`);
    const parameters = new Parameters();
    const values: Record<string, Value> = {};
    values.cls = dinoFeatures(config, parameters.root, input('pixels', pixels.shape), (probed, value) => {
      values[probed] = value;
    });
    requireWeights(golden.folder, parameters.declared, weights);
    const recorded = io.matching(new RegExp(`^${name}\\.(?!in$)(.+)$`)).map(([, tensor]) => tensor);
    expect(Object.keys(values).sort()).toEqual(recorded.sort());
    const results = await evaluate(values, weights, { pixels });
    for (const tensor of recorded) {
      expectClose(results[tensor], io.get(`${name}.${tensor}`), tolerance, `${name}.${tensor}`);
    }
  });

  it('the encoder that workflows use', async () => {
    const runtime = createRuntime({ inline: true, threads: 2 });
    const encoder = createImageEncoder(runtime, { config: golden.json('config.json'), weights, maxBatch: 1 });
    for (const name of cases) {
      const embeddings = await encoder.encode(io.floats(`${name}.in`));
      expectClose(embeddings, io.get(`${name}.cls`), tolerance, `${name}.cls`);
    }
    expect(encoder.preprocessing).toEqual(dinoRecipe(config.imageSide));
    await runtime.close();
  });
});
