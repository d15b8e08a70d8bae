import { expect, it } from 'vitest';
import { input, type Value } from '../../src/graph/index.ts';
import {
  cogVideoXTransformer,
  cropRegion,
  nominalBaseGrid,
  parseTransformerConfig,
  rotaryTables,
  sincosTable,
  tokenGrid,
} from '../../src/models/cogvideox/transformer/index.ts';
import { Parameters } from '../../src/nn/parameters.ts';
import { requireWeights } from '../../src/runtime/index.ts';
import { asFloats, type FloatTensor, floats } from '../../src/tensor/host-tensor.ts';
import { evaluate } from './evaluate.ts';
import { describeGolden, expectClose, type GoldenTensors, statedTolerance } from './golden.ts';

/** Every second column: upstream tables repeat each angle for both elements of a pair. */
function pairColumns({ shape: [rows, columns], data }: FloatTensor): FloatTensor {
  return floats(
    [rows, columns / 2],
    Float32Array.from({ length: data.length / 2 }, (_, i) => data[2 * i]),
  );
}

const withoutText = (table: FloatTensor, textTokens: number): FloatTensor => {
  const [rows, columns] = table.shape;
  return floats([rows - textTokens, columns], table.data.subarray(textTokens * columns));
};

for (const style of ['cogvideox-transformer-rope', 'cogvideox-transformer-sincos']) {
  describeGolden(style, async (golden) => {
    const config = parseTransformerConfig(golden.json('config.json'), golden.path('config.json'));
    const io = await golden.tensors('io.safetensors');
    const weights = new Map([...(await golden.tensors('model.safetensors'))]);
    const tolerance = { abs: statedTolerance(golden, 1e-4) };
    const cases = io.matching(/^(.*\.)?in\.hidden_states$/).map((match) => match[1] ?? '');

    it.each(cases)('%s: every recorded tensor', async (prefix) => {
      const { probed, output, parameters } = trace(io, prefix);
      requireWeights(style, parameters.declared, new Map(weights));
      const recorded = io.names().filter((name) => name.startsWith(`${prefix}out.`));
      expect(recorded.length).toBeGreaterThan(0);
      const wanted = recorded.map((name) => name.slice(prefix.length + 4));
      const values = Object.fromEntries(
        wanted.map((name) => [name, name === 'sample' ? output : probed.get(name)!] as const),
      );
      const results = await evaluate(values, weights, feeds(io, prefix));
      for (const name of wanted) {
        expectClose(results[name], io.get(`${prefix}out.${name}`), tolerance, `${prefix}${name}`);
      }
    });

    it.each(cases)('%s: position tables', (prefix) => {
      const textTokens = io.get(`${prefix}in.encoder_hidden_states`).shape[1];
      const grid = tokenGrid(config, io.get(`${prefix}in.hidden_states`));
      if (config.positions === 'sincos') {
        const name = `${prefix}pos_embedding`;
        const expected = asFloats(io.get(name));
        const ours = sincosTable(config, textTokens, grid);
        expectClose(floats(expected.shape, ours.data), expected, { abs: 2e-6 }, name);
        return;
      }
      const bases = [
        {
          cos: `${prefix}in.rotary_cos`,
          sin: `${prefix}in.rotary_sin`,
          base: nominalBaseGrid(config),
        },
        { cos: 'rope_base30x45.cos', sin: 'rope_base30x45.sin', base: { rows: 30, columns: 45 } },
      ];
      for (const { cos, sin, base } of bases.filter((entry) => io.has(entry.cos))) {
        const ours = rotaryTables(config.headDim, textTokens, grid, base);
        expectClose(withoutText(ours.cos, textTokens), pairColumns(io.floats(cos)), { abs: 5e-6 }, cos);
        expectClose(withoutText(ours.sin, textTokens), pairColumns(io.floats(sin)), { abs: 5e-6 }, sin);
      }
    });

    if (io.has('crop_region_cases')) {
      it('crop regions', () => {
        const rows = io.numbers('crop_region_cases');
        for (let i = 0; i < rows.length; i += 8) {
          const [gridRows, gridColumns, baseColumns, baseRows, ...region] = rows.slice(i, i + 8);
          const ours = cropRegion(
            { rows: gridRows, columns: gridColumns },
            { rows: baseRows, columns: baseColumns },
          );
          expect(ours).toEqual(region);
        }
      });
    }

    function feeds(tensors: GoldenTensors, prefix: string) {
      return {
        latents: tensors.floats(`${prefix}in.hidden_states`),
        text: tensors.floats(`${prefix}in.encoder_hidden_states`),
        timestep: tensors.floats(`${prefix}in.timestep`),
      };
    }

    function trace(tensors: GoldenTensors, prefix: string) {
      const shapes = feeds(tensors, prefix);
      const parameters = new Parameters();
      const probed = new Map<string, Value>();
      const output = cogVideoXTransformer(
        config,
        parameters.root,
        {
          latents: input('latents', shapes.latents.shape),
          text: input('text', shapes.text.shape),
          timestep: input('timestep', shapes.timestep.shape),
        },
        { probe: (name, value) => probed.set(name, value) },
      );
      return { probed, output, parameters };
    }
  });
}
