import { z } from 'zod';

export const dreamVideoOptionsSchema = z.strictObject({
  /** Width of the adapters' bottleneck as a part of the model's width. */
  bottleneckShare: z.number().positive().max(1).default(0.5),
  /** Width of the image embedding that conditions the motion adapters. */
  conditionDim: z.number().int().positive().default(1024),
});

export type DreamVideoOptions = z.infer<typeof dreamVideoOptionsSchema>;
