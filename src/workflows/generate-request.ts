import { resolve } from 'node:path';
import { z } from 'zod';
import { GUIDANCE_SCHEDULES, SAMPLER_KINDS } from '../diffusion/index.ts';
import { absoluteBase } from './base-location.ts';

const count = z.number().int().positive();
const path = z.string().min(1);

/** What `generate` is asked for. Defaults are the release's inference (reference: DR inference/). */
export const generateRequestSchema = z.strictObject({
  /** A run folder, or a file of what any method trained (.safetensors, .pth); absent: the base model alone. */
  adapter: path.optional(),
  /** Base model, `toybox` or a folder; default: the one the adapter was trained on, without one toybox. */
  base: path.optional(),
  prompts: z.array(z.string().min(1)).min(1),
  negativePrompt: z.string().default(''),
  /** Videos per prompt; the i-th uses seed + i. */
  count: count.default(1),
  seed: z.number().int().nonnegative().default(42),
  /** One for each prompt, instead of `seed` for all. */
  seeds: z.array(z.number().int().nonnegative()).optional(),
  steps: count.default(50),
  /** Default: the method's own, which is 6 but for DreamVideo's 9. */
  guidance: z.number().min(1).optional(),
  guidanceSchedule: z.enum(GUIDANCE_SCHEDULES).default('constant'),
  /** Default: the sampler that the base's scheduler_config.json names. */
  scheduler: z.enum(SAMPLER_KINDS).optional(),
  /** Image of the subject for the motion adapters' condition; default: a photo kept with the run. */
  reference: path.optional(),
  /** Leaves the condition out. */
  noReference: z.boolean().default(false),
  imageEncoder: path.optional(),
  width: count.optional(),
  height: count.optional(),
  frames: count.optional(),
  fps: z.number().positive().optional(),
  /** Folder that the videos' folders go into; default: outputs/ of the run. */
  out: path.optional(),
  device: z.enum(['cpu', 'webgpu', 'cuda']).default('cpu'),
  threads: count.optional(),
});

export type GenerateRequest = z.infer<typeof generateRequestSchema>;
export type GenerateRequestInput = z.input<typeof generateRequestSchema>;

/** The request with absolute paths, so that its record tells the same from any folder. */
export function withAbsolutePaths(request: GenerateRequest): GenerateRequest {
  const { adapter, base, reference, imageEncoder, out } = request;
  return {
    ...request,
    ...(adapter !== undefined && { adapter: resolve(adapter) }),
    ...(base !== undefined && { base: absoluteBase(base) }),
    ...(reference !== undefined && { reference: resolve(reference) }),
    ...(imageEncoder !== undefined && { imageEncoder: resolve(imageEncoder) }),
    ...(out !== undefined && { out: resolve(out) }),
  };
}
