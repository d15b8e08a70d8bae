import { z } from 'zod';
import { parseModelConfig } from '../../config.ts';
import { positiveInteger } from '../../transformers-config.ts';

const blockTypes = (type: string) => z.array(z.literal(`CogVideoX${type}Block3D`)).nonempty();

const schema = z
  .strictObject({
    _class_name: z.literal('AutoencoderKLCogVideoX').optional(),
    _diffusers_version: z.string().optional(),
    _name_or_path: z.string().optional(),
    in_channels: positiveInteger.default(3),
    out_channels: positiveInteger.default(3),
    down_block_types: blockTypes('Down').optional(),
    up_block_types: blockTypes('Up').optional(),
    block_out_channels: z.array(positiveInteger).nonempty().default([128, 256, 256, 512]),
    latent_channels: positiveInteger.default(16),
    layers_per_block: positiveInteger.default(3),
    act_fn: z.literal('silu').default('silu'),
    norm_eps: z.number().positive().default(1e-6),
    norm_num_groups: positiveInteger.default(32),
    temporal_compression_ratio: z.union([z.literal(1), z.literal(2), z.literal(4), z.literal(8)]).default(4),
    sample_height: positiveInteger.default(480),
    sample_width: positiveInteger.default(720),
    scaling_factor: z.number().positive().default(1.15258426),
    shift_factor: z.null().optional(),
    latents_mean: z.null().optional(),
    latents_std: z.null().optional(),
    force_upcast: z.union([z.boolean(), z.number()]).optional(),
    use_quant_conv: z.literal(false).default(false),
    use_post_quant_conv: z.literal(false).default(false),
    invert_scale_latents: z.literal(false).default(false),
  })
  .superRefine((c, context) => {
    const blocks = c.block_out_channels.length;
    const require = (holds: boolean, field: string, message: string) => {
      if (!holds) context.addIssue({ code: 'custom', path: [field], message });
    };
    for (const field of ['down_block_types', 'up_block_types'] as const) {
      require((c[field]?.length ?? blocks) === blocks, field, `must have ${blocks} entries`);
    }
    require(c.block_out_channels.every(
      (channels) => channels % c.norm_num_groups === 0,
    ), 'norm_num_groups', 'must divide every block_out_channels');
    require(2 ** blocks >
      c.temporal_compression_ratio, 'temporal_compression_ratio', `needs more blocks than ${blocks}`);
  });

/** CogVideoX's causal 3D VAE, in this project's names (diffusers AutoencoderKLCogVideoX). */
export interface VaeConfig {
  readonly pixelChannels: number;
  readonly outChannels: number;
  /** Channels of each resolution, finest first. */
  readonly channels: readonly number[];
  readonly latentChannels: number;
  /** Residual blocks per resolution in the encoder; the decoder has one more. */
  readonly layersPerBlock: number;
  readonly normGroups: number;
  readonly normEpsilon: number;
  /** Pixel frames per latent frame. */
  readonly temporalCompression: number;
  /** Pixels per latent pixel, along one side. */
  readonly spatialCompression: number;
  /** Nominal video size in pixels: tiles are half of it. */
  readonly sampleHeight: number;
  readonly sampleWidth: number;
  /** Latents are multiplied by it before they go to the transformer. The codec itself does not apply it. */
  readonly scalingFactor: number;
}

/** Parses vae/config.json; fields with values outside the implemented family are errors that name them. */
export function parseVaeConfig(json: unknown, where = 'vae/config.json'): VaeConfig {
  const c = parseModelConfig<z.output<typeof schema>>(schema, json, where, 'a CogVideoX 3D VAE');
  return {
    pixelChannels: c.in_channels,
    outChannels: c.out_channels,
    channels: c.block_out_channels,
    latentChannels: c.latent_channels,
    layersPerBlock: c.layers_per_block,
    normGroups: c.norm_num_groups,
    normEpsilon: c.norm_eps,
    temporalCompression: c.temporal_compression_ratio,
    spatialCompression: 2 ** (c.block_out_channels.length - 1),
    sampleHeight: c.sample_height,
    sampleWidth: c.sample_width,
    scalingFactor: c.scaling_factor,
  };
}

/** The inverse of {@link parseVaeConfig}: what vae/config.json holds. */
export function vaeConfigJson(config: VaeConfig): Record<string, unknown> {
  const blocks = (type: string) => config.channels.map(() => `CogVideoX${type}Block3D`);
  return {
    _class_name: 'AutoencoderKLCogVideoX',
    _diffusers_version: '0.32.2',
    act_fn: 'silu',
    block_out_channels: config.channels,
    down_block_types: blocks('Down'),
    force_upcast: true,
    in_channels: config.pixelChannels,
    invert_scale_latents: false,
    latent_channels: config.latentChannels,
    latents_mean: null,
    latents_std: null,
    layers_per_block: config.layersPerBlock,
    norm_eps: config.normEpsilon,
    norm_num_groups: config.normGroups,
    out_channels: config.outChannels,
    sample_height: config.sampleHeight,
    sample_width: config.sampleWidth,
    scaling_factor: config.scalingFactor,
    shift_factor: null,
    temporal_compression_ratio: config.temporalCompression,
    up_block_types: blocks('Up'),
    use_post_quant_conv: false,
    use_quant_conv: false,
  };
}
