import { z } from 'zod';
import { DualrealError } from '../tensor/errors.ts';

/** What `export` is asked for. */
export const exportRequestSchema = z.strictObject({
  /** A run folder or an adapter file. */
  adapter: z.string().min(1),
  /** File to write. */
  out: z.string().min(1),
  /** 'pth': as the official release writes and loads it. 'safetensors': ours. */
  format: z.enum(['pth', 'safetensors']),
  /** Storage; default: bf16 for pth, as the release; otherwise as it is. */
  dtype: z.enum(['f32', 'bf16', 'f16', 'keep']).optional(),
  /**
   * 'condition': folds the condition of one reference image into the weights. 'fused': that, and both
   * adapters of a site as one.
   */
  fold: z.enum(['none', 'condition', 'fused']).default('none'),
  /** The reference image to fold; default: the one kept with the run. */
  reference: z.string().min(1).optional(),
  overwrite: z.boolean().default(false),
});

export type ExportRequest = z.infer<typeof exportRequestSchema>;

export interface ExportResult {
  readonly path: string;
  readonly sizeBytes: number;
  readonly sourceSizeBytes: number;
}

/** Adapters that cannot be exported as asked. Nothing was written. */
export class ExportError extends DualrealError {}
