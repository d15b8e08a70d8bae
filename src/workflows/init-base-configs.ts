import { TEXT_TOKENS } from '../toybox/pretrain/tokenizers.ts';

/** What a VAE's size is made of; the rest of its configuration is CogVideoX's. */
export interface VaeSize {
  readonly channels: readonly [number, number, number, number];
  readonly latentChannels: number;
  readonly groups: number;
  readonly side: number;
}

export function vaeConfigJson({ channels, latentChannels, groups, side }: VaeSize): Record<string, unknown> {
  const blocks = (type: string) => channels.map(() => `CogVideoX${type}Block3D`);
  return {
    _class_name: 'AutoencoderKLCogVideoX',
    _diffusers_version: '0.32.2',
    act_fn: 'silu',
    block_out_channels: channels,
    down_block_types: blocks('Down'),
    force_upcast: true,
    in_channels: 3,
    invert_scale_latents: false,
    latent_channels: latentChannels,
    latents_mean: null,
    latents_std: null,
    layers_per_block: 1,
    norm_eps: 1e-6,
    norm_num_groups: groups,
    out_channels: 3,
    sample_height: side,
    sample_width: side,
    scaling_factor: 0.7,
    shift_factor: null,
    temporal_compression_ratio: 4,
    up_block_types: blocks('Up'),
    use_post_quant_conv: false,
    use_quant_conv: false,
  };
}

/** CogVideoX-5B's schedule. */
export function schedulerConfigJson(): Record<string, unknown> {
  return {
    _class_name: 'CogVideoXDPMScheduler',
    _diffusers_version: '0.32.2',
    beta_end: 0.012,
    beta_schedule: 'scaled_linear',
    beta_start: 0.00085,
    clip_sample: false,
    num_train_timesteps: 1000,
    prediction_type: 'v_prediction',
    rescale_betas_zero_snr: true,
    set_alpha_to_one: true,
    snr_shift_scale: 1.0,
    steps_offset: 0,
    timestep_spacing: 'trailing',
    trained_betas: null,
  };
}

const size = (heads: number, headDim: number, blocks: number, side: number, frames: number, vae: VaeSize) => {
  const textDim = 64;
  return {
    vae,
    transformer: {
      num_attention_heads: heads,
      attention_head_dim: headDim,
      in_channels: vae.latentChannels,
      out_channels: vae.latentChannels,
      time_embed_dim: heads * headDim,
      text_embed_dim: textDim,
      num_layers: blocks,
      sample_width: side / 8,
      sample_height: side / 8,
      sample_frames: frames,
      patch_size: 1,
      max_text_seq_length: TEXT_TOKENS,
      use_rotary_positional_embeddings: true,
    },
    text: {
      d_model: textDim,
      d_kv: 16,
      d_ff: 2 * textDim,
      num_layers: 2,
      num_heads: 4,
      feed_forward_proj: 'gated-gelu',
    },
    image: (vocabulary: number) => {
      const tower = {
        hidden_size: 64,
        intermediate_size: 256,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        hidden_act: 'quick_gelu',
      };
      return {
        model_type: 'clip',
        projection_dim: 64,
        text_config: { ...tower, vocab_size: vocabulary, max_position_embeddings: TEXT_TOKENS },
        vision_config: { ...tower, image_size: 64, patch_size: 8 },
      };
    },
  };
};

/** toy: the size of the shipped base, for demonstrations. tiny: seconds instead of minutes, for tests. */
export const RANDOM_BASE_SIZES = {
  toy: size(6, 32, 14, 64, 9, { channels: [16, 32, 32, 32], latentChannels: 8, groups: 4, side: 64 }),
  tiny: size(2, 16, 2, 32, 9, { channels: [8, 8, 8, 8], latentChannels: 4, groups: 2, side: 32 }),
} as const;
