import type { VaeConfig } from '../models/cogvideox/vae/index.ts';
import { TEXT_TOKENS } from '../toybox/pretrain/tokenizers.ts';

/** What a VAE's size is made of; the rest of its configuration is CogVideoX's. */
interface VaeSize {
  readonly channels: readonly [number, number, number, number];
  readonly latentChannels: number;
  readonly groups: number;
  /** Pixel frames per latent frame. */
  readonly temporal: number;
  readonly side: number;
}

/** Pixels per latent pixel, along one side, of four levels. */
const SPATIAL_COMPRESSION = 8;

const vaeConfig = ({ channels, latentChannels, groups, temporal, side }: VaeSize): VaeConfig => ({
  pixelChannels: 3,
  outChannels: 3,
  channels,
  latentChannels,
  layersPerBlock: 1,
  normGroups: groups,
  normEpsilon: 1e-6,
  temporalCompression: temporal,
  spatialCompression: SPATIAL_COMPRESSION,
  sampleHeight: side,
  sampleWidth: side,
  scalingFactor: 0.7,
});

interface BaseSize {
  readonly heads: number;
  readonly headDim: number;
  readonly blocks: number;
  readonly frames: number;
  /** Width of the text encoder, of both CLIP towers and of the space they share. */
  readonly encoderWidth: number;
  readonly encoderBlocks: number;
  readonly vae: VaeSize;
}

const ENCODER_HEADS = 4;

const size = ({ heads, headDim, blocks, frames, encoderWidth, encoderBlocks, vae }: BaseSize) => ({
  vae: vaeConfig(vae),
  transformer: {
    num_attention_heads: heads,
    attention_head_dim: headDim,
    in_channels: vae.latentChannels,
    out_channels: vae.latentChannels,
    time_embed_dim: heads * headDim,
    text_embed_dim: encoderWidth,
    num_layers: blocks,
    sample_width: vae.side / SPATIAL_COMPRESSION,
    sample_height: vae.side / SPATIAL_COMPRESSION,
    sample_frames: frames,
    temporal_compression_ratio: vae.temporal,
    patch_size: 1,
    max_text_seq_length: TEXT_TOKENS,
    use_rotary_positional_embeddings: true,
  },
  text: {
    d_model: encoderWidth,
    d_kv: encoderWidth / ENCODER_HEADS,
    d_ff: 2 * encoderWidth,
    num_layers: encoderBlocks,
    num_heads: ENCODER_HEADS,
    feed_forward_proj: 'gated-gelu',
  },
  image: (vocabulary: number) => {
    const tower = {
      hidden_size: encoderWidth,
      intermediate_size: 4 * encoderWidth,
      num_hidden_layers: encoderBlocks,
      num_attention_heads: ENCODER_HEADS,
      hidden_act: 'quick_gelu',
    };
    return {
      model_type: 'clip',
      projection_dim: encoderWidth,
      text_config: { ...tower, vocab_size: vocabulary, max_position_embeddings: TEXT_TOKENS },
      vision_config: { ...tower, image_size: 64, patch_size: 8 },
    };
  },
});

/** toy: the size of the base that ships, for demonstrations. tiny: seconds instead of minutes, for tests. */
export const RANDOM_BASE_SIZES = {
  toy: size({
    ...{ heads: 6, headDim: 32, blocks: 14, frames: 9, encoderWidth: 128, encoderBlocks: 3 },
    vae: { channels: [16, 32, 64, 96], latentChannels: 24, groups: 4, temporal: 2, side: 64 },
  }),
  tiny: size({
    ...{ heads: 2, headDim: 16, blocks: 2, frames: 9, encoderWidth: 64, encoderBlocks: 2 },
    vae: { channels: [8, 8, 8, 8], latentChannels: 4, groups: 2, temporal: 4, side: 32 },
  }),
} as const;
