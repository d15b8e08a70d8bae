import { expect, it } from 'vitest';
import { input, type Value } from '../../src/graph/index.ts';
import { parseT5Config, positionBucket, t5Encoder, untieT5Weights } from '../../src/models/t5/index.ts';
import { createTextEncoder } from '../../src/models/text-encoder.ts';
import { Parameters } from '../../src/nn/parameters.ts';
import { createRuntime, requireWeights } from '../../src/runtime/index.ts';
import { floats } from '../../src/tensor/host-tensor.ts';
import { evaluate } from './evaluate.ts';
import { describeGolden, expectClose, statedTolerance } from './golden.ts';
import { noTokenizer, rowOf } from './recorded-ids.ts';

describeGolden('t5-encoder', async (golden) => {
  const config = parseT5Config(golden.json('config.json'), golden.path('config.json'));
  const io = await golden.tensors('io.safetensors');
  const weights = untieT5Weights(new Map(await golden.tensors('model.safetensors')));
  const tolerance = { abs: statedTolerance(golden, 2.2e-5) };

  it('buckets of relative positions', () => {
    const buckets = io.numbers('bucket.relative_position').map((at) => positionBucket(at, config));
    expect(buckets).toEqual(io.numbers('bucket.bucket'));
  });

  const cases = io.matching(/^(\w+)\.input_ids$/).map(([, name]) => name);
  it.each(cases)('%s: every recorded tensor', async (name) => {
    const ids = io.get(`${name}.input_ids`);
    const maskName = `${name}.attention_mask`;
    const masked = io.has(maskName);
    const parameters = new Parameters();
    const values: Record<string, Value> = {};
    values.last_hidden_state = t5Encoder(
      config,
      parameters.root,
      { ids: input('ids', ids.shape, 'i64'), ...(masked && { mask: input('mask', ids.shape) }) },
      {
        probe: (probed, value) => {
          if (io.has(`${name}.${probed}`)) values[probed] = value;
        },
      },
    );
    requireWeights(golden.folder, parameters.declared, weights);
    const recorded = io.matching(new RegExp(`^${name}\\.(?!input_ids|attention_mask)(.+)$`));
    expect(Object.keys(values).sort()).toEqual(recorded.map(([, tensor]) => tensor).sort());
    const results = await evaluate(values, weights, { ids, ...(masked && { mask: io.floats(maskName) }) });
    for (const tensor of Object.keys(values)) {
      expectClose(results[tensor], io.get(`${name}.${tensor}`), tolerance, `${name}.${tensor}`);
    }
  });

  const unmasked = cases.filter((name) => !io.has(`${name}.attention_mask`));
  it.each(unmasked)('%s: the encoder that workflows use', async (name) => {
    const runtime = createRuntime({ inline: true, threads: 2 });
    const ids = io.get(`${name}.input_ids`);
    const expected = io.floats(`${name}.last_hidden_state`);
    const [rows, tokens, width] = expected.shape;
    let row = 0;
    const tokenizer = {
      ...noTokenizer,
      encode: () => ({ ids: rowOf(ids, row++), usedTokens: 1, cut: undefined }),
    };
    const encoder = createTextEncoder(runtime, {
      config: golden.json('config.json'),
      weights: new Map(await golden.tensors('model.safetensors')),
      tokenizer,
      tokens,
    });
    for (let i = 0; i < rows; i++) {
      const { embedding } = await encoder.encode('');
      const part = expected.data.subarray(i * tokens * width, (i + 1) * tokens * width);
      expectClose(embedding, floats([1, tokens, width], part), tolerance, `${name}, text ${i}`);
    }
    await runtime.close();
  });
});
