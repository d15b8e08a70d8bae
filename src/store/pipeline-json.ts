/** File that tells about a base made by this project; see docs/formats.md. */
export const BASE_CARD = 'dualreal.json';

/** model_index.json of a CogVideoX pipeline. */
export function pipelineIndexJson(): Record<string, unknown> {
  return {
    _class_name: 'CogVideoXPipeline',
    _diffusers_version: '0.32.2',
    scheduler: ['diffusers', 'CogVideoXDPMScheduler'],
    text_encoder: ['transformers', 'T5EncoderModel'],
    tokenizer: ['transformers', 'T5TokenizerFast'],
    transformer: ['diffusers', 'CogVideoXTransformer3DModel'],
    vae: ['diffusers', 'AutoencoderKLCogVideoX'],
  };
}

/** CogVideoX-5B's scheduler_config.json: v-prediction, zero terminal SNR, trailing steps. */
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
