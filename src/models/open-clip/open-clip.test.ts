import { describe, expect, it } from 'vitest';
import { UnsupportedConfigError } from '../config.ts';
import { parseOpenClipConfig, VIT_H_14 } from './index.ts';

const PUBLISHED = {
  embed_dim: 1024,
  vision_cfg: { image_size: 224, layers: 32, width: 1280, head_width: 80, patch_size: 14 },
  text_cfg: { context_length: 77, vocab_size: 49408, width: 1024, heads: 16, layers: 24 },
};

describe('parseOpenClipConfig', () => {
  it('reads ViT-H/14 in both forms', () => {
    const config = parseOpenClipConfig(PUBLISHED);
    expect(config).toEqual(VIT_H_14);
    expect(config.vision).toMatchObject({ heads: 16, feedForwardWidth: 5120 });
    expect(config.quickGelu).toBe(false);
    const hub = { model_cfg: PUBLISHED, preprocess_cfg: { mean: [0.5, 0.5, 0.5] } };
    expect(parseOpenClipConfig(hub)).toEqual(config);
  });

  it.each([
    ['vision_cfg.layers', { vision_cfg: { ...PUBLISHED.vision_cfg, layers: [3, 4, 6, 3] } }],
    ['vision_cfg.timm_model_name', { vision_cfg: { ...PUBLISHED.vision_cfg, timm_model_name: 'x' } }],
    ['vision_cfg.head_width', { vision_cfg: { ...PUBLISHED.vision_cfg, head_width: 79 } }],
    ['text_cfg.hf_model_name', { text_cfg: { hf_model_name: 'roberta' } }],
    ['text_cfg.heads', { text_cfg: { heads: 7 } }],
    ['embed_dim', { embed_dim: undefined }],
  ])('names field %s', (field, change) => {
    const parse = () => parseOpenClipConfig({ ...PUBLISHED, ...change }, 'here/config.json');
    expect(parse).toThrow(UnsupportedConfigError);
    expect(parse).toThrow(`here/config.json, field ${field}`);
  });
});
