import { describe, expect, it } from 'vitest';
import {
  DUALREAL_PRESETS,
  type DualRealOptions,
  expectedTensors,
  foldCondition,
  fuseAdapters,
  inferDualRealShape,
  parameterGroup,
  traceDualReal,
} from '../../src/methods/dualreal/index.ts';
import { parseTransformerConfig } from '../../src/models/cogvideox/transformer/index.ts';
import { requireWeights } from '../../src/runtime/index.ts';
import { floats, type HostTensor, maxAbsDifference } from '../../src/tensor/host-tensor.ts';
import { evaluate } from './evaluate.ts';
import { describeGolden, expectClose, statedTolerance } from './golden.ts';
import { releaseRotaryBase } from './release-rotary.ts';

describeGolden('dualreal-transformer', async (golden) => {
  const {
    use_IdAdapter: _i,
    use_MotionAdapter: _m,
    spatial_adapter_alpha: _a,
    temporal_adapter_alpha: _t,
    spatial_adapter_hidden_dim: _s,
    temporal_adapter_hidden_dim: _b,
    ...base
  } = golden.json<Record<string, unknown>>('config.json');
  const config = parseTransformerConfig(base, golden.path('config.json'));
  const rotaryBase = releaseRotaryBase(config.patch);
  const weights = new Map([...(await golden.tensors('model.safetensors'))]);
  const frozen = new Map([...weights].filter(([name]) => !parameterGroup(name)));
  const adapters = new Map([...weights].filter(([name]) => parameterGroup(name)));
  const io = await golden.tensors('io.safetensors');
  const shape = inferDualRealShape(adapters);
  const tolerance = { abs: statedTolerance(golden, 1e-4) };
  const latents = io.floats('in.hidden_states');
  const text = io.floats('in.encoder_hidden_states');
  const reference = io.floats('in.y_image_single');
  const [batch, latentFrames, , latentHeight, latentWidth] = latents.shape;

  const optionsOf = (changes: Partial<DualRealOptions>): DualRealOptions => ({
    ...DUALREAL_PRESETS.official,
    bottleneck: shape.bottleneck,
    conditionDim: shape.conditionDim,
    groups: shape.groups,
    ...changes,
  });

  async function run(
    tensors: ReadonlyMap<string, HostTensor>,
    options: DualRealOptions,
    form: 'separate' | 'fused',
    conditioned: boolean,
  ): Promise<HostTensor> {
    const { output, parameters } = traceDualReal(
      config,
      options,
      { batch, latentFrames, latentHeight, latentWidth, textTokens: text.shape[1], conditioned },
      { rotaryBase, frozen: true, form },
    );
    const values = new Map([...frozen, ...tensors]);
    requireWeights(form, parameters.declared, values);
    const rows = new Float32Array(batch * reference.data.length);
    for (let row = 0; row < batch; row++) rows.set(reference.data, row * reference.data.length);
    const condition = floats([batch, 1, reference.data.length], rows);
    const timestep = io.floats('in.timestep');
    const feeds = { latents, text, timestep, ...(conditioned && { condition }) };
    return (await evaluate({ output }, values, feeds)).output;
  }

  it('the layout is exactly what the model declares', () => {
    const { parameters } = traceDualReal(config, optionsOf({}), {
      batch,
      latentFrames,
      latentHeight,
      latentWidth,
      textTokens: text.shape[1],
      conditioned: true,
    });
    const declared = new Map([...parameters.declared].filter(([name]) => parameterGroup(name)));
    requireWeights('layout', declared, expectedTensors(shape));
  });

  describe('official adapters', () => {
    it('folded for a reference: the reference output without a condition', async () => {
      const folded = foldCondition(adapters, optionsOf({}), reference);
      expect([...folded.keys()].filter((name) => name.includes('condition_linear'))).toEqual([]);
      expectClose(
        await run(folded, optionsOf({}), 'separate', false),
        io.get('y_single.sample'),
        tolerance,
        'folded',
      );
    });

    it('fused: the reference output with one projection pair a site', async () => {
      const fused = fuseAdapters(foldCondition(adapters, optionsOf({}), reference), optionsOf({}));
      expect(inferDualRealShape(fused)).toEqual({ ...shape, form: 'fused', conditionDim: 0 });
      expectClose(
        await run(fused, optionsOf({}), 'fused', false),
        io.get('y_single.sample'),
        tolerance,
        'fused',
      );
    });

    it('folded for another reference: another output', async () => {
      const other = floats(
        reference.shape,
        reference.data.map((value) => value + 0.5),
      );
      const folded = foldCondition(adapters, optionsOf({}), other);
      const output = await run(folded, optionsOf({}), 'separate', false);
      expect(maxAbsDifference(output, io.get('y_single.sample'))).toBeGreaterThan(10 * tolerance.abs);
    });
  });

  /** The same tensors under other options: what counts is that folding changes nothing. */
  const variants: [string, Partial<DualRealOptions>][] = [
    ['official', {}],
    ['clean', { weightTotal: 1, skip: false }],
    ['condition multiplies', { conditionForm: 'multiply' }],
    ['softmax, motion scaled', { weightTotal: 1, weightActivation: 'softmax', weightScales: 'motion' }],
    ['no controller', { groups: 0 }],
    ['one site a block', { placement: 'block', weightTotal: 1, skip: false }],
    ['GELU outside, condition multiplies', { geluPlacement: 'outside', conditionForm: 'multiply' }],
  ];
  // f32 rounding of sums in another order: about twice what the same upstream code differs in f32 and f64,
  // which the folder's tolerance is five times of.
  const rounding = { abs: 0.4 * tolerance.abs };
  describe.each(variants)('%s', (_, changes) => {
    const options = optionsOf(changes);
    const sites = options.placement === 'block' ? /_ff_adapter/ : /^$/;
    const used = new Map(
      [...adapters].filter(
        ([name]) => !sites.test(name) && (options.groups > 0 || !name.startsWith('controller.')),
      ),
    );

    it('folded and fused give the output of the conditioned model to rounding', async () => {
      const conditioned = await run(used, options, 'separate', true);
      const folded = foldCondition(used, options, reference);
      expectClose(await run(folded, options, 'separate', false), conditioned, rounding, 'folded');
      if (options.geluPlacement === 'outside') {
        expect(() => fuseAdapters(folded, options)).toThrow(/GELU between the projections/);
        return;
      }
      expectClose(
        await run(fuseAdapters(folded, options), options, 'fused', false),
        conditioned,
        rounding,
        'fused',
      );
    });
  });

  it('refuses what is no exact rewrite', () => {
    const options = optionsOf({});
    expect(() => fuseAdapters(adapters, options)).toThrow(/fold the condition of a reference image first/);
    const folded = foldCondition(adapters, options, reference);
    expect(() => foldCondition(folded, options, reference)).toThrow(/already folded/);
    expect(() =>
      foldCondition(
        adapters,
        options,
        floats([2, reference.data.length], new Float32Array(2 * reference.data.length)),
      ),
    ).toThrow(/one embedding of/);
    const broken = floats(
      reference.shape,
      reference.data.map((value, i) => (i === 1 ? Number.NaN : value)),
    );
    expect(() => foldCondition(adapters, options, broken)).toThrow(/finite/);
    expect(() => fuseAdapters(fuseAdapters(folded, options), options)).toThrow(/fused ones already/);
  });
});
