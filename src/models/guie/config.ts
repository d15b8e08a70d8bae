import { z } from 'zod';
import { parseModelConfig } from '../config.ts';
import type { OpenClipVisionConfig } from '../open-clip/index.ts';
import { positiveInteger } from '../transformers-config.ts';

const schema = z
  .strictObject({
    guie: z.strictObject({
      // The published stages 10 to 13 cut patches of 14 pixels every 12.
      patch_overlap: z.int().min(0).default(2),
      projection_dim: positiveInteger.default(64),
    }),
    embed_dim: positiveInteger.default(1024),
    vision_cfg: z
      .strictObject({
        image_size: positiveInteger.default(290),
        layers: positiveInteger.default(32),
        width: positiveInteger.default(1280),
        head_width: positiveInteger.default(80),
        patch_size: positiveInteger.default(14),
        mlp_ratio: z.number().positive().default(4),
      })
      .prefault({}),
  })
  .refine((c) => c.vision_cfg.width % c.vision_cfg.head_width === 0, {
    path: ['vision_cfg', 'head_width'],
    error: 'must divide width',
  })
  .refine((c) => c.guie.patch_overlap < c.vision_cfg.patch_size, {
    path: ['guie', 'patch_overlap'],
    error: 'must be less than patch_size',
  });

/** An open_clip image tower with overlapping patches and a projection behind it, in this project's names. */
export interface GuieConfig {
  readonly vision: OpenClipVisionConfig;
  /** E of the tower. */
  readonly backboneDim: number;
  /** Width of the embedding. */
  readonly embeddingDim: number;
  /** Pixels that neighbouring patches share. */
  readonly overlap: number;
}

/**
 * Reads a description of a checkpoint of the winner of Google Universal Image Embedding. The official file comes
 * without one: `{"guie": {}}` means its ViT-H/14 at 290 pixels with 64 numbers; the other fields are open_clip's.
 */
export function parseGuieConfig(json: unknown, where = 'config.json'): GuieConfig {
  const {
    guie,
    embed_dim,
    vision_cfg: vision,
  } = parseModelConfig<z.output<typeof schema>>(
    schema,
    json,
    where,
    'an image tower of open_clip with a projection',
  );
  return {
    vision: {
      width: vision.width,
      feedForwardWidth: Math.trunc(vision.width * vision.mlp_ratio),
      blocks: vision.layers,
      heads: vision.width / vision.head_width,
      imageSide: vision.image_size,
      patch: vision.patch_size,
    },
    backboneDim: embed_dim,
    embeddingDim: guie.projection_dim,
    overlap: guie.patch_overlap,
  };
}
