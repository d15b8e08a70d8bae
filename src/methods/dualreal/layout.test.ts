import { describe, expect, it } from 'vitest';
import { type Shape, sizeOf } from '../../tensor/shape.ts';
import { AdapterLayoutError, type DualRealShape, expectedTensors, inferDualRealShape } from './layout.ts';

const tiny: DualRealShape = {
  form: 'separate',
  placement: 'sites',
  bottleneck: 8,
  conditionDim: 12,
  groups: 2,
  blocks: 4,
  width: 32,
  timeEmbeddingDim: 16,
};
const changed = (change: (tensors: Map<string, { readonly shape: Shape }>) => void) => {
  const tensors = expectedTensors(tiny);
  change(tensors);
  return () => inferDualRealShape(tensors, 'adapter.pth');
};

describe('expectedTensors', () => {
  it('is the release at CogVideoX-5B: 854 tensors, 335.6 M parameters, 79 % of them the condition', () => {
    const release = {
      ...tiny,
      bottleneck: 64,
      conditionDim: 1024,
      groups: 7,
      blocks: 42,
      width: 3072,
      timeEmbeddingDim: 512,
    };
    const count = (shape: DualRealShape, part = '') =>
      [...expectedTensors(shape)].reduce(
        (sum, [name, tensor]) => sum + (name.includes(part) ? sizeOf(tensor.shape) : 0),
        0,
      );
    expect(expectedTensors(release).size).toBe(854);
    expect(count(release, '.id_')).toBe(33_293_568);
    expect(count(release, 'condition_linear')).toBe(264_499_200);
    expect(count(release, 'controller.')).toBe(4_528_647);
    expect(count(release)).toBe(335_614_983);
    expect(inferDualRealShape(expectedTensors(release))).toEqual(release);
    // Folded, in bf16: 142 MB instead of 671 MB.
    expect(Math.round((2 * count({ ...release, conditionDim: 0 })) / 1e6)).toBe(142);
    expect(Math.round((2 * count(release)) / 1e6)).toBe(671);
  });
});

describe('inferDualRealShape', () => {
  it.each<[string, Partial<DualRealShape>]>([
    ['the release', {}],
    ['one site a block', { placement: 'block' }],
    ['no controller', { groups: 0, timeEmbeddingDim: 0 }],
    ['one group', { groups: 1 }],
    ['a group a block', { groups: 4 }],
    ['a single block', { blocks: 1, groups: 1 }],
    ['folded', { conditionDim: 0 }],
    ['fused', { conditionDim: 0, form: 'fused' }],
    [
      'fused, one site, no controller',
      { conditionDim: 0, form: 'fused', placement: 'block', groups: 0, timeEmbeddingDim: 0 },
    ],
    ['bottleneck as wide as the model', { bottleneck: 32 }],
    ['bottleneck 1', { bottleneck: 1 }],
  ])('finds every extent of %s', (_, differences) => {
    const shape = { ...tiny, ...differences };
    expect(inferDualRealShape(expectedTensors(shape))).toEqual(shape);
  });

  it('lists every name that does not belong, is missing or has another shape', () => {
    const infer = changed((tensors) => {
      tensors.delete('transformer_blocks.2.id_ff_adapter.up_linear.bias');
      tensors.delete('controller.norm.weight');
      tensors.set('transformer_blocks.1.motion_attn_adapter.down_linear.weight', { shape: [8, 31] });
      tensors.set('transformer_blocks.0.attn1.to_q.weight', { shape: [32, 32] });
      tensors.set('evil\nname', { shape: [] });
    });
    expect(infer).toThrow(AdapterLayoutError);
    expect(infer).toThrow(
      /adapter\.pth: expected the 94 tensors of DualReal adapters for 4 blocks of width 32, got missing: transformer_blocks\.2\.id_ff_adapter\.up_linear\.bias, controller\.norm\.weight; other shape: transformer_blocks\.1\.motion_attn_adapter\.down_linear\.weight \(expected \[8, 32\], file has \[8, 31\]\); not part of the adapters: transformer_blocks\.0\.attn1\.to_q\.weight, "evil\\nname"/,
    );
  });

  it.each<[string, (tensors: Map<string, { readonly shape: Shape }>) => void, RegExp]>([
    ['no tensor', (tensors) => tensors.clear(), /got no tensor/],
    [
      'a base model',
      (tensors) => {
        tensors.clear();
        tensors.set('patch_embed.proj.weight', { shape: [32, 4, 2, 2] });
      },
      /expected DualReal adapters .*not part of the adapters: patch_embed\.proj\.weight/,
    ],
    [
      'projections of width 0',
      (tensors) => {
        for (const [name, tensor] of tensors) {
          tensors.set(name, { shape: tensor.shape.map((extent) => (extent === 8 ? 0 : extent)) });
        }
      },
      /got projections without elements/,
    ],
    [
      'a missing block',
      (tensors) => {
        for (const name of [...tensors.keys()])
          if (name.startsWith('transformer_blocks.1.')) tensors.delete(name);
      },
      /missing: transformer_blocks\.1\.id_attn_adapter\.down_linear\.weight, .*transformer_blocks\.1\.motion_ff_adapter\.condition_linear\.bias$/m,
    ],
    [
      'groups that do not divide the blocks',
      (tensors) => {
        tensors.set('controller.fusion_net.3.weight', { shape: [3, 128] });
        tensors.set('controller.fusion_net.3.bias', { shape: [3] });
      },
      /3 weight groups, which do not divide 4 blocks/,
    ],
    [
      'a block number beyond reason',
      (tensors) => {
        tensors.set('transformer_blocks.99999.id_attn_adapter.down_linear.weight', { shape: [8, 32] });
      },
      /got not part of the adapters: transformer_blocks\.99999\.id_attn_adapter\.down_linear\.weight\n/,
    ],
    [
      'a condition in some motion adapters only',
      (tensors) => {
        tensors.delete('transformer_blocks.0.motion_ff_adapter.condition_linear.weight');
      },
      /got missing: transformer_blocks\.0\.motion_ff_adapter\.condition_linear\.weight\n/,
    ],
    [
      'a scalar where a matrix belongs',
      (tensors) => {
        tensors.set('controller.fusion_net.3.weight', { shape: [] });
      },
      /got other shape: controller\.fusion_net\.3\.weight \(expected \[2, 128\], file has \[\]\)\n/,
    ],
    [
      'a controller without its last layer',
      (tensors) => {
        tensors.delete('controller.fusion_net.3.weight');
        tensors.delete('controller.fusion_net.3.bias');
      },
      /got missing: controller\.fusion_net\.3\.weight, controller\.fusion_net\.3\.bias\n/,
    ],
  ])('%s', (_, change, message) => {
    expect(changed(change)).toThrow(message);
  });
});
