import { z } from 'zod';
import { UnsupportedConfigError } from '../../config.ts';

const integer = z.number().int().positive();

const schema = z.object({
  num_attention_heads: integer.default(30),
  attention_head_dim: integer.default(64),
  in_channels: integer.default(16),
  out_channels: integer.nullish(),
  flip_sin_to_cos: z.literal(true).default(true),
  freq_shift: z.literal(0).default(0),
  time_embed_dim: integer.default(512),
  ofs_embed_dim: z.null().optional(),
  text_embed_dim: integer.default(4096),
  num_layers: integer.default(30),
  dropout: z.literal(0).default(0),
  attention_bias: z.boolean().default(true),
  sample_width: integer.default(90),
  sample_height: integer.default(60),
  sample_frames: integer.default(49),
  patch_size: integer.default(2),
  patch_size_t: z.null().optional(),
  temporal_compression_ratio: integer.default(4),
  max_text_seq_length: integer.default(226),
  activation_fn: z.literal('gelu-approximate').default('gelu-approximate'),
  timestep_activation_fn: z.literal('silu').default('silu'),
  norm_elementwise_affine: z.literal(true).default(true),
  norm_eps: z.number().positive().default(1e-5),
  spatial_interpolation_scale: z.number().positive().default(1.875),
  temporal_interpolation_scale: z.number().positive().default(1),
  use_rotary_positional_embeddings: z.boolean().default(false),
  use_learned_positional_embeddings: z.literal(false).default(false),
  patch_bias: z.boolean().default(true),
});

/** CogVideoX's diffusion transformer, in this project's names (diffusers CogVideoXTransformer3DModel). */
export interface TransformerConfig {
  readonly heads: number;
  readonly headDim: number;
  /** D = heads · headDim. */
  readonly width: number;
  readonly blocks: number;
  readonly latentChannels: number;
  readonly outChannels: number;
  readonly timeEmbeddingDim: number;
  readonly textDim: number;
  readonly textTokens: number;
  readonly patch: number;
  /** Latent size that position tables are made for. */
  readonly sampleHeight: number;
  readonly sampleWidth: number;
  /** Pixel frames of the nominal sample. */
  readonly sampleFrames: number;
  readonly temporalCompression: number;
  readonly positions: 'rotary' | 'sincos';
  readonly spatialInterpolationScale: number;
  readonly temporalInterpolationScale: number;
  readonly attentionBias: boolean;
  readonly patchBias: boolean;
  readonly normEpsilon: number;
}

/** Parses transformer/config.json; fields with values outside the implemented family are errors that name them. */
export function parseTransformerConfig(json: unknown, where = 'transformer/config.json'): TransformerConfig {
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new UnsupportedConfigError({
      where: `${where}, field ${issue.path.join('.')}`,
      expected: 'a CogVideoX text-to-video transformer (2B or 5B style)',
      got: issue.message,
    });
  }
  const c = parsed.data;
  const rotary = c.use_rotary_positional_embeddings;
  const split = rotary ? c.attention_head_dim : c.num_attention_heads * c.attention_head_dim;
  if (split % 16 !== 0) {
    throw new UnsupportedConfigError({
      where: `${where}, field attention_head_dim`,
      expected: rotary
        ? 'a multiple of 16 (the rotary axes split it 1/4, 3/8, 3/8 into pairs)'
        : 'a width (heads · head dim) that 16 divides (the axes split it 1/4, 3/8, 3/8 into pairs)',
      got: String(split),
    });
  }
  return {
    heads: c.num_attention_heads,
    headDim: c.attention_head_dim,
    width: c.num_attention_heads * c.attention_head_dim,
    blocks: c.num_layers,
    latentChannels: c.in_channels,
    outChannels: c.out_channels ?? c.in_channels,
    timeEmbeddingDim: c.time_embed_dim,
    textDim: c.text_embed_dim,
    textTokens: c.max_text_seq_length,
    patch: c.patch_size,
    sampleHeight: c.sample_height,
    sampleWidth: c.sample_width,
    sampleFrames: c.sample_frames,
    temporalCompression: c.temporal_compression_ratio,
    positions: c.use_rotary_positional_embeddings ? 'rotary' : 'sincos',
    spatialInterpolationScale: c.spatial_interpolation_scale,
    temporalInterpolationScale: c.temporal_interpolation_scale,
    attentionBias: c.attention_bias,
    patchBias: c.patch_bias,
    normEpsilon: c.norm_eps,
  };
}

/** The inverse of {@link parseTransformerConfig}: what transformer/config.json holds. */
export function transformerConfigJson(config: TransformerConfig): Record<string, unknown> {
  return {
    _class_name: 'CogVideoXTransformer3DModel',
    _diffusers_version: '0.32.2',
    num_attention_heads: config.heads,
    attention_head_dim: config.headDim,
    in_channels: config.latentChannels,
    out_channels: config.outChannels,
    flip_sin_to_cos: true,
    freq_shift: 0,
    time_embed_dim: config.timeEmbeddingDim,
    ofs_embed_dim: null,
    text_embed_dim: config.textDim,
    num_layers: config.blocks,
    dropout: 0.0,
    attention_bias: config.attentionBias,
    sample_width: config.sampleWidth,
    sample_height: config.sampleHeight,
    sample_frames: config.sampleFrames,
    patch_size: config.patch,
    patch_size_t: null,
    temporal_compression_ratio: config.temporalCompression,
    max_text_seq_length: config.textTokens,
    activation_fn: 'gelu-approximate',
    timestep_activation_fn: 'silu',
    norm_elementwise_affine: true,
    norm_eps: config.normEpsilon,
    spatial_interpolation_scale: config.spatialInterpolationScale,
    temporal_interpolation_scale: config.temporalInterpolationScale,
    use_rotary_positional_embeddings: config.positions === 'rotary',
    use_learned_positional_embeddings: false,
    patch_bias: config.patchBias,
  };
}
