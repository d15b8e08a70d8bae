import { resolve } from 'node:path';
import { z } from 'zod';
import { LEARNING_RATE_SCHEDULES } from '../diffusion/index.ts';
import { DUALREAL_PRESETS, dualRealOptionsSchema } from '../methods/dualreal/index.ts';
import { absoluteBase, EMBEDDED_BASE } from './base-location.ts';

const count = z.number().int().positive();
const path = z.string().min(1);

/** What `train` is asked for. Defaults are the release's recipe (reference: DR train/train_dog_guitar.sh). */
export const trainRequestSchema = z.strictObject({
  /** Photos of the subject: files or folders. */
  subject: z.array(path).min(1),
  /** Clips of the motion: files or folders. */
  motion: z.array(path).min(1),
  /** Base model: the word for the embedded one, or a folder in the diffusers layout. */
  base: path.default(EMBEDDED_BASE),
  /** Run folder to create. */
  out: path,
  preset: z.enum(Object.keys(DUALREAL_PRESETS) as [keyof typeof DUALREAL_PRESETS]).default('official'),
  /** Differences from the preset, by option name. */
  options: dualRealOptionsSchema.partial().default({}),
  subjectPrompt: z.string().min(1).optional(),
  motionPrompt: z.string().min(1).optional(),
  steps: count.default(1000),
  seed: z.number().int().nonnegative().default(42),
  learningRate: z.number().positive().default(1e-3),
  /** Default: 200, or a fifth of shorter runs. */
  warmupSteps: z.number().int().nonnegative().optional(),
  schedule: z.enum(LEARNING_RATE_SCHEDULES).default('cosine_with_restarts'),
  maxGradientNorm: z.number().positive().default(1),
  weightDecay: z.number().nonnegative().default(1e-4),
  subjectBatch: count.default(1),
  motionBatch: count.default(3),
  /** Probability r of a motion step. */
  motionRatio: z.number().min(0).max(1).default(0.5),
  /** Pixel size and frames; default: the base's nominal sample. */
  width: count.optional(),
  height: count.optional(),
  frames: count.optional(),
  /** Frames per second that clips are read at; 'native' takes the first frames as they are (release). */
  fps: z.union([z.literal('native'), z.number().positive()]).default('native'),
  fit: z.enum(['stretch', 'crop', 'pad']).default('stretch'),
  /** Folder of the image encoder, where the base has none. */
  imageEncoder: path.optional(),
  checkpointEvery: count.default(100),
  keepCheckpoints: count.default(2),
  /** Generate samples every so many steps; 0: never. */
  sampleEvery: z.number().int().nonnegative().default(0),
  samplePrompts: z.array(z.string().min(1)).default([]),
  sampleSteps: count.default(20),
  /** Go on without files that cannot be used. */
  skipBadFiles: z.boolean().default(false),
  /** Recompute activations in the backward pass: less memory, about a third more time. */
  recompute: z.boolean().default(false),
  device: z.enum(['cpu', 'webgpu', 'cuda']).default('cpu'),
  threads: count.optional(),
});

/** The request with absolute paths, so that a run can be resumed and used from any folder. */
export function withAbsolutePaths(request: TrainRequest): TrainRequest {
  const absolute = (paths: readonly string[]) => paths.map((each) => resolve(each));
  return {
    ...request,
    subject: absolute(request.subject),
    motion: absolute(request.motion),
    base: absoluteBase(request.base),
    out: resolve(request.out),
    ...(request.imageEncoder && { imageEncoder: resolve(request.imageEncoder) }),
  };
}

export type TrainRequest = z.infer<typeof trainRequestSchema>;
export type TrainRequestInput = z.input<typeof trainRequestSchema>;

/** What a run is told besides its request; it has no effect on the result. */
export const trainControlSchema = z.strictObject({
  /** Stops with a checkpoint after this many steps in all, as Ctrl-C would. */
  stopAfter: count.optional(),
});

export type TrainControl = z.infer<typeof trainControlSchema>;

/** The image encoder a run was trained with, where that was not the base's own. */
export function trainedImageEncoder(
  request: Readonly<Record<string, unknown>> | undefined,
): string | undefined {
  const folder = request?.imageEncoder;
  return typeof folder === 'string' ? folder : undefined;
}
