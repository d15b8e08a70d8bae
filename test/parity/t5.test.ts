import { expect, it } from 'vitest';
import * as g from '../../src/graph/index.ts';
import { parseT5Config, positionBucket, t5Encoder, untieT5Weights } from '../../src/models/t5/index.ts';
import { Parameters } from '../../src/nn/parameters.ts';
import { createRuntime, requireWeights } from '../../src/runtime/index.ts';
import { asFloats, type HostTensor } from '../../src/tensor/host-tensor.ts';
import { describeGolden, expectClose } from './golden.ts';

const TOLERANCE = { abs: 2.2e-5 };

describeGolden('t5-encoder', async (golden) => {
  const config = parseT5Config(golden.json('config.json'), golden.path('config.json'));
  const io = await golden.tensors('io.safetensors');
  const weights = untieT5Weights(new Map(await golden.tensors('model.safetensors')));

  it('buckets of relative positions', () => {
    const buckets = io.numbers('bucket.relative_position').map((at) => positionBucket(at, config));
    expect(buckets).toEqual(io.numbers('bucket.bucket'));
  });

  for (const [, name] of io.matching(/^(\w+)\.input_ids$/)) {
    it(`${name}: hidden states`, async () => {
      const ids = io.get(`${name}.input_ids`);
      const maskName = `${name}.attention_mask`;
      const masked = io.has(maskName);
      const parameters = new Parameters();
      const outputs: Record<string, g.Value> = {};
      const out = t5Encoder(
        config,
        parameters.root,
        {
          ids: g.input('ids', ids.shape, 'i64'),
          ...(masked && { mask: g.input('mask', ids.shape) }),
        },
        {
          probe: (probe, value) => {
            if (io.has(`${name}.${probe}`)) outputs[probe] = value;
          },
        },
      );
      outputs.last_hidden_state = g.reshape(out, [...out.shape, 1]);
      requireWeights(golden.folder, parameters.declared, weights);
      const runtime = createRuntime({ inline: true });
      const executable = await runtime.compile(g.program(name, outputs), { weights });
      const inputs: Record<string, HostTensor> = { ids };
      if (masked) inputs.mask = asFloats(io.get(maskName));
      const results = await executable.run(inputs);
      const compared = Object.keys(outputs);
      for (const tensor of compared) {
        const expected = io.get(`${name}.${tensor}`);
        expectClose({ ...results[tensor], shape: expected.shape }, expected, TOLERANCE, `${name}.${tensor}`);
      }
      const all = io.matching(new RegExp(`^${name}\\.(?!input_ids|attention_mask)(.+)$`));
      expect(compared.sort()).toEqual(all.map(([, tensor]) => tensor).sort());
      await executable.release();
    });
  }
});
