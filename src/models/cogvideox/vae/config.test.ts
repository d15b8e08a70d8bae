import { describe, expect, it } from 'vitest';
import { UnsupportedConfigError } from '../../config.ts';
import { parseVaeConfig, vaeConfigJson } from './config.ts';

describe('vae/config.json', () => {
  it('defaults to the published VAE', () => {
    const config = parseVaeConfig({});
    expect(config).toMatchObject({
      channels: [128, 256, 256, 512],
      latentChannels: 16,
      spatialCompression: 8,
    });
  });

  it('is written as it is read', () => {
    const config = parseVaeConfig({
      block_out_channels: [32, 64, 64],
      norm_num_groups: 8,
      scaling_factor: 0.7,
    });
    expect(parseVaeConfig(vaeConfigJson(config))).toEqual(config);
  });

  it.each([
    ['use_quant_conv', true],
    ['act_fn', 'gelu'],
    ['shift_factor', 0.1],
    ['latents_mean', [0]],
    ['norm_num_groups', 48],
    ['temporal_compression_ratio', 3],
    ['down_block_types', ['DownEncoderBlock2D']],
    ['up_block_types', ['CogVideoXUpBlock3D']],
    ['surprise', 1],
  ])('%s = %j is refused by name', (field, value) => {
    const parse = () => parseVaeConfig({ [field]: value });
    expect(parse).toThrow(UnsupportedConfigError);
    expect(parse).toThrow(field);
  });
});
