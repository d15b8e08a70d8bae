import { z } from 'zod';
import type { TransformerConfig } from '../../models/cogvideox/transformer/index.ts';

/** Linear layers of each block's attention that low-rank updates can be put on. */
export const LORA_TARGETS = ['to_q', 'to_k', 'to_v', 'to_out.0'] as const;

/** Defaults are those of the diffusers example for CogVideoX (examples/cogvideo/README.md). */
export const loraOptionsSchema = z.strictObject({
  /** r: inner extent of B·A. */
  rank: z.number().int().positive().default(64),
  /** An update is scaled by alpha / rank. */
  alpha: z.number().positive().default(64),
  targets: z
    .array(z.enum(LORA_TARGETS))
    .min(1)
    .default([...LORA_TARGETS]),
});

export type LoraOptions = z.infer<typeof loraOptionsSchema>;

/** Rank and factor of one low-rank update. */
export interface LoraLayer {
  readonly rank: number;
  /** What B·A is multiplied with: alpha / rank, times the weight the update is used with. */
  readonly scale: number;
}

/** The layers that options put an update on, by the path of the linear layer. */
export function loraLayers(
  { blocks }: TransformerConfig,
  { rank, alpha, targets }: LoraOptions,
): ReadonlyMap<string, LoraLayer> {
  const layer = { rank, scale: alpha / rank };
  return new Map(
    Array.from({ length: blocks }, (_, block) =>
      targets.map((target) => [`transformer_blocks.${block}.attn1.${target}`, layer] as const),
    ).flat(),
  );
}
