import { describe, expect, it } from 'vitest';
import { UnsupportedConfigError } from '../config.ts';
import { clipConfigJson, parseClipConfig } from './index.ts';

// Abridged from openai/clip-vit-base-patch32: the towers' sizes are half here, half in the *_dict fields.
const PUBLISHED = {
  architectures: ['CLIPModel'],
  initializer_factor: 1.0,
  logit_scale_init_value: 2.6592,
  model_type: 'clip',
  projection_dim: 512,
  text_config: {
    _name_or_path: '',
    add_cross_attention: false,
    bos_token_id: 0,
    eos_token_id: 2,
    hidden_act: 'quick_gelu',
    hidden_size: 512,
    id2label: { '0': 'LABEL_0' },
    model_type: 'clip_text_model',
    num_attention_heads: 8,
    pruned_heads: {},
    torchscript: false,
    vocab_size: 49408,
  },
  text_config_dict: { num_hidden_layers: 12 },
  vision_config: { hidden_size: 768, image_size: 224, patch_size: 32, model_type: 'clip_vision_model' },
  vision_config_dict: null,
};

describe('parseClipConfig', () => {
  it('reads the published config, and its own JSON again', () => {
    const config = parseClipConfig(PUBLISHED);
    expect(config.embeddingDim).toBe(512);
    expect(config.text).toEqual({
      width: 512,
      feedForwardWidth: 2048,
      blocks: 12,
      heads: 8,
      activation: 'quick_gelu',
      normEpsilon: 1e-5,
      vocabulary: 49408,
      tokens: 77,
    });
    expect(config.vision).toMatchObject({ width: 768, heads: 12, imageSide: 224, patch: 32 });
    expect(parseClipConfig(clipConfigJson(config))).toEqual(config);
  });

  it.each([
    ['text_config.hidden_act', { text_config: { hidden_act: 'relu' } }],
    ['text_config.num_attention_heads', { text_config: { hidden_size: 10, num_attention_heads: 3 } }],
    ['vision_config.num_channels', { vision_config: { num_channels: 1 } }],
    ['vision_config.rotary', { vision_config: { rotary: true } }],
    ['vision_config.patch_size', { vision_config_dict: { patch_size: '14' } }],
    ['model_type', { model_type: 'siglip' }],
    ['pooling', { pooling: 'mean' }],
  ])('names field %s', (field, change) => {
    const parse = () => parseClipConfig({ ...PUBLISHED, ...change }, 'here/config.json');
    expect(parse).toThrow(UnsupportedConfigError);
    expect(parse).toThrow(`here/config.json, field ${field}`);
  });
});
