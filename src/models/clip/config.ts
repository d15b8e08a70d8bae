import { z } from 'zod';
import { parseModelConfig } from '../config.ts';
import { positiveInteger, transformersFields } from '../transformers-config.ts';

const activation = z.enum(['quick_gelu', 'gelu']).default('quick_gelu');
const epsilon = z.number().positive().default(1e-5);

// Absent fields take the defaults of transformers' CLIPTextConfig and CLIPVisionConfig.
const textSchema = z.strictObject({
  ...transformersFields,
  model_type: z.literal('clip_text_model').optional(),
  projection_dim: z.unknown().optional(),
  vocab_size: positiveInteger.default(49408),
  hidden_size: positiveInteger.default(512),
  intermediate_size: positiveInteger.default(2048),
  num_hidden_layers: positiveInteger.default(12),
  num_attention_heads: positiveInteger.default(8),
  max_position_embeddings: positiveInteger.default(77),
  hidden_act: activation,
  layer_norm_eps: epsilon,
});

const visionSchema = z.strictObject({
  ...transformersFields,
  model_type: z.literal('clip_vision_model').optional(),
  projection_dim: z.unknown().optional(),
  num_channels: z.literal(3).optional(),
  hidden_size: positiveInteger.default(768),
  intermediate_size: positiveInteger.default(3072),
  num_hidden_layers: positiveInteger.default(12),
  num_attention_heads: positiveInteger.default(12),
  image_size: positiveInteger.default(224),
  patch_size: positiveInteger.default(32),
  hidden_act: activation,
  layer_norm_eps: epsilon,
});

const tower = z.record(z.string(), z.unknown());
const schema = z
  .strictObject({
    ...transformersFields,
    model_type: z.literal('clip'),
    projection_dim: positiveInteger.default(512),
    logit_scale_init_value: z.number().optional(),
    text_config: tower.nullish(),
    vision_config: tower.nullish(),
    // Old files repeat parts of the tower configs here; upstream lets these win.
    text_config_dict: tower.nullish(),
    vision_config_dict: tower.nullish(),
  })
  .transform((fields) => ({
    projection_dim: fields.projection_dim,
    text_config: { ...fields.text_config, ...fields.text_config_dict },
    vision_config: { ...fields.vision_config, ...fields.vision_config_dict },
  }))
  .pipe(
    z.strictObject({ projection_dim: positiveInteger, text_config: textSchema, vision_config: visionSchema }),
  )
  .refine((c) => c.text_config.hidden_size % c.text_config.num_attention_heads === 0, {
    path: ['text_config', 'num_attention_heads'],
    error: 'must divide hidden_size',
  })
  .refine((c) => c.vision_config.hidden_size % c.vision_config.num_attention_heads === 0, {
    path: ['vision_config', 'num_attention_heads'],
    error: 'must divide hidden_size',
  });

export type ClipActivation = 'quick_gelu' | 'gelu';

/** What both towers of CLIP have. */
export interface ClipTowerConfig {
  /** D. */
  readonly width: number;
  readonly feedForwardWidth: number;
  readonly blocks: number;
  readonly heads: number;
  readonly activation: ClipActivation;
  readonly normEpsilon: number;
}

export interface ClipTextConfig extends ClipTowerConfig {
  readonly vocabulary: number;
  /** S: the longest text. */
  readonly tokens: number;
}

export interface ClipVisionConfig extends ClipTowerConfig {
  /** Side of the square image, in pixels. */
  readonly imageSide: number;
  readonly patch: number;
}

/** transformers' CLIPModel, in this project's names. */
export interface ClipConfig {
  /** E: width of the space that both towers are projected to. */
  readonly embeddingDim: number;
  readonly text: ClipTextConfig;
  readonly vision: ClipVisionConfig;
}

/** Reads a CLIPModel's config.json; unknown fields and unsupported values are errors that name them. */
export function parseClipConfig(json: unknown, where = 'config.json'): ClipConfig {
  const c = parseModelConfig<z.output<typeof schema>>(schema, json, where, 'a CLIP model of transformers');
  return {
    embeddingDim: c.projection_dim,
    text: {
      ...towerOf(c.text_config),
      vocabulary: c.text_config.vocab_size,
      tokens: c.text_config.max_position_embeddings,
    },
    vision: {
      ...towerOf(c.vision_config),
      imageSide: c.vision_config.image_size,
      patch: c.vision_config.patch_size,
    },
  };
}

function towerOf(fields: z.output<typeof textSchema> | z.output<typeof visionSchema>): ClipTowerConfig {
  return {
    width: fields.hidden_size,
    feedForwardWidth: fields.intermediate_size,
    blocks: fields.num_hidden_layers,
    heads: fields.num_attention_heads,
    activation: fields.hidden_act,
    normEpsilon: fields.layer_norm_eps,
  };
}

/** The inverse of {@link parseClipConfig}: what config.json holds. */
export function clipConfigJson({ embeddingDim, text, vision }: ClipConfig): Record<string, unknown> {
  const towerFields = (tower: ClipTowerConfig) => ({
    hidden_size: tower.width,
    intermediate_size: tower.feedForwardWidth,
    num_hidden_layers: tower.blocks,
    num_attention_heads: tower.heads,
    hidden_act: tower.activation,
    layer_norm_eps: tower.normEpsilon,
    projection_dim: embeddingDim,
  });
  return {
    architectures: ['CLIPModel'],
    model_type: 'clip',
    projection_dim: embeddingDim,
    text_config: {
      model_type: 'clip_text_model',
      vocab_size: text.vocabulary,
      max_position_embeddings: text.tokens,
      ...towerFields(text),
    },
    vision_config: {
      model_type: 'clip_vision_model',
      image_size: vision.imageSide,
      patch_size: vision.patch,
      ...towerFields(vision),
    },
    torch_dtype: 'float32',
  };
}
