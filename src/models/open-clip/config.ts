import { z } from 'zod';
import { parseModelConfig } from '../config.ts';
import { positiveInteger } from '../transformers-config.ts';

const modelSchema = z
  .strictObject({
    embed_dim: positiveInteger,
    quick_gelu: z.boolean().default(false),
    vision_cfg: z.strictObject({
      image_size: positiveInteger.default(224),
      // A list of four depths means a ResNet tower upstream, which is not implemented here.
      layers: positiveInteger.default(12),
      width: positiveInteger.default(768),
      head_width: positiveInteger.default(64),
      patch_size: positiveInteger.default(16),
      mlp_ratio: z.number().positive().default(4),
    }),
    text_cfg: z.strictObject({
      context_length: positiveInteger.default(77),
      vocab_size: positiveInteger.default(49408),
      width: positiveInteger.default(512),
      heads: positiveInteger.default(8),
      layers: positiveInteger.default(12),
    }),
  })
  .refine((c) => c.vision_cfg.width % c.vision_cfg.head_width === 0, {
    path: ['vision_cfg', 'head_width'],
    error: 'must divide width',
  })
  .refine((c) => c.text_cfg.width % c.text_cfg.heads === 0, {
    path: ['text_cfg', 'heads'],
    error: 'must divide width',
  });

/** What both towers of open_clip's CLIP have. */
export interface OpenClipTowerConfig {
  /** D. */
  readonly width: number;
  readonly feedForwardWidth: number;
  readonly blocks: number;
  readonly heads: number;
}

export interface OpenClipTextConfig extends OpenClipTowerConfig {
  readonly vocabulary: number;
  /** S: every text is padded to this length. */
  readonly tokens: number;
}

export interface OpenClipVisionConfig extends OpenClipTowerConfig {
  /** Side of the square image, in pixels. */
  readonly imageSide: number;
  readonly patch: number;
}

/** open_clip's CLIP with two transformers, in this project's names. */
export interface OpenClipConfig {
  /** E. */
  readonly embeddingDim: number;
  /** x·σ(1.702x) instead of the exact GELU; only OpenAI's own weights want it. */
  readonly quickGelu: boolean;
  readonly text: OpenClipTextConfig;
  readonly vision: OpenClipVisionConfig;
}

/**
 * Reads an open_clip model config: the `model_configs/*.json` form, or the `open_clip_config.json` of the
 * Hugging Face hub that wraps it in `model_cfg`. Unknown fields and unsupported values are errors that name
 * them.
 */
export function parseOpenClipConfig(json: unknown, where = 'config.json'): OpenClipConfig {
  const wrapped = typeof json === 'object' && json !== null && 'model_cfg' in json;
  const c = parseModelConfig<z.output<typeof modelSchema>>(
    modelSchema,
    wrapped ? json.model_cfg : json,
    wrapped ? `${where} model_cfg` : where,
    'an open_clip model with a plain vision transformer and its own text transformer',
  );
  const { vision_cfg: vision, text_cfg: text } = c;
  return {
    embeddingDim: c.embed_dim,
    quickGelu: c.quick_gelu,
    vision: {
      width: vision.width,
      feedForwardWidth: Math.trunc(vision.width * vision.mlp_ratio),
      blocks: vision.layers,
      heads: vision.width / vision.head_width,
      imageSide: vision.image_size,
      patch: vision.patch_size,
    },
    text: {
      width: text.width,
      feedForwardWidth: text.width * 4,
      blocks: text.layers,
      heads: text.heads,
      vocabulary: text.vocab_size,
      tokens: text.context_length,
    },
  };
}

/** ViT-H/14, whose laion2B weights make DualReal's motion condition. */
export const VIT_H_14: OpenClipConfig = parseOpenClipConfig({
  embed_dim: 1024,
  vision_cfg: { image_size: 224, layers: 32, width: 1280, head_width: 80, patch_size: 14 },
  text_cfg: { context_length: 77, vocab_size: 49408, width: 1024, heads: 16, layers: 24 },
});
