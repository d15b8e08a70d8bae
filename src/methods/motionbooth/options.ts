import { z } from 'zod';
import { loraOptionsSchema } from '../lora/options.ts';

/** Defaults as published (MotionBooth configs/lavie.yaml), as far as they carry over. */
export const motionBoothOptionsSchema = z.strictObject({
  /** All weights (published), or a LoRA where they do not fit into memory. */
  tune: z.enum(['full', 'lora']).default('full'),
  lora: loraOptionsSchema.prefault({}),
  attentionWeight: z.number().nonnegative().default(0.01),
  /** Blocks whose attention is compared with the mask, as parts of the depth. */
  attentionDepths: z.array(z.number().min(0).lt(1)).min(1).default([0.25, 0.5, 0.75]),
  /**
   * What a video token's attention to the subject's words is a share of: its attention to all tokens
   * ('joint', as the model computes it), or to text tokens only ('text', as in cross-attention).
   */
  attentionOver: z.enum(['joint', 'text']).default('joint'),
});

export type MotionBoothOptions = z.infer<typeof motionBoothOptionsSchema>;
