import { z } from 'zod';
import { pretrainRequestSchema } from './pretrain-request.ts';

/** What `dualreal pretrain transformer` is asked for. */
export const pretrainTransformerRequestSchema = z.strictObject({
  ...pretrainRequestSchema.omit({ model: true, batch: true, startFrom: true, seed: true }).shape,
  seed: z.int().min(0).default(1),
  /** Clips a step; absent: the variant's. */
  batch: z.int().positive().optional(),
  imageBatch: z.int().positive().optional(),
  /** Steps on images alone, at the start. */
  imageSteps: z.int().min(0).optional(),
  /** Samples in the bank of latents, of each kind. */
  clips: z.int().positive().optional(),
  images: z.int().positive().optional(),
  learningRate: z.number().positive().optional(),
  subjectWeight: z.number().min(1).optional(),
  /** Every other step on clips is on so many tokens of each of more clips, the subject's ahead. */
  clipTokens: z.int().min(0).optional(),
  stage: z.literal([1, 2, 3]).optional(),
  /** Equal parts that a batch is split into, for less memory. */
  microBatches: z.int().positive().default(1),
  /** Compute blocks again in the backward pass, for less memory. */
  checkpointed: z.boolean().default(false),
  /** Name of a run of the same sizes whose averaged parameters are the first ones; `shipped`: the base's own. */
  startFrom: z.string().optional(),
  /** Rendering threads. */
  renderThreads: z.int().positive().optional(),
});

export type PretrainTransformerRequest = z.output<typeof pretrainTransformerRequestSchema>;
