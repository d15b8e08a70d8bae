import { z } from 'zod';
import { parseModelConfig } from '../config.ts';
import { positiveInteger } from '../transformers-config.ts';

/** Sizes of the three architectures of facebookresearch/dino `vision_transformer.py`. */
const ARCHITECTURES = {
  vit_tiny: { width: 192, heads: 3 },
  vit_small: { width: 384, heads: 6 },
  vit_base: { width: 768, heads: 12 },
} as const;

const schema = z
  .strictObject({
    arch: z.enum(['vit_tiny', 'vit_small', 'vit_base']).default('vit_small'),
    img_size: positiveInteger.default(224),
    patch_size: positiveInteger.default(16),
    embed_dim: positiveInteger.optional(),
    depth: positiveInteger.default(12),
    num_heads: positiveInteger.optional(),
    mlp_ratio: z.number().positive().default(4),
    qkv_bias: z.boolean().default(true),
    norm_eps: z.number().positive().default(1e-6),
  })
  .transform((c) => {
    const { width, heads } = ARCHITECTURES[c.arch];
    return { ...c, embed_dim: c.embed_dim ?? width, num_heads: c.num_heads ?? heads };
  })
  .refine((c) => c.embed_dim % c.num_heads === 0, { path: ['num_heads'], error: 'must divide embed_dim' });

/** DINO's vision transformer, in this project's names. */
export interface DinoConfig {
  /** D; also the width of the embedding. */
  readonly width: number;
  readonly feedForwardWidth: number;
  readonly blocks: number;
  readonly heads: number;
  readonly patch: number;
  /** Side of the training images, in pixels: the size the position table is made for. */
  readonly imageSide: number;
  readonly qkvBias: boolean;
  readonly normEpsilon: number;
}

/**
 * Reads a description of a DINO checkpoint. The official files come without one: `{}` means ViT-S/16 at 224,
 * `{"arch": "vit_base", "patch_size": 8}` another of the family; embed_dim and the like override.
 */
export function parseDinoConfig(json: unknown, where = 'config.json'): DinoConfig {
  const c = parseModelConfig<z.output<typeof schema>>(schema, json, where, 'a vision transformer of DINO v1');
  return {
    width: c.embed_dim,
    feedForwardWidth: Math.trunc(c.embed_dim * c.mlp_ratio),
    blocks: c.depth,
    heads: c.num_heads,
    patch: c.patch_size,
    imageSide: c.img_size,
    qkvBias: c.qkv_bias,
    normEpsilon: c.norm_eps,
  };
}

/** The inverse of {@link parseDinoConfig}: what config.json holds. */
export function dinoConfigJson(config: DinoConfig): Record<string, unknown> {
  return {
    arch: 'vit_small',
    img_size: config.imageSide,
    patch_size: config.patch,
    embed_dim: config.width,
    depth: config.blocks,
    num_heads: config.heads,
    mlp_ratio: config.feedForwardWidth / config.width,
    qkv_bias: config.qkvBias,
    norm_eps: config.normEpsilon,
  };
}
