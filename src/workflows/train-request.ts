import { resolve } from 'node:path';
import { z } from 'zod';
import { LEARNING_RATE_SCHEDULES } from '../diffusion/index.ts';
import { DUALREAL_PRESETS } from '../methods/dualreal/index.ts';
import { METHOD_NAMES, METHOD_OPTIONS } from '../methods/index.ts';
import { absoluteBase, EMBEDDED_BASE } from './base-location.ts';

const count = z.number().int().positive();
const path = z.string().min(1);

/**
 * What `train` is asked for. What is left out is as published for the method: each stage has a recipe of its own
 * (docs/methods.md); DualReal's is the release's (reference: DR train/train_dog_guitar.sh).
 */
const fields = z.strictObject({
  method: z.enum(METHOD_NAMES).default('dualreal'),
  /** Photos of the subject: files or folders. */
  subject: z.array(path).min(1),
  /** Clips of the motion: files or folders. Not for MotionBooth, which learns no motion. */
  motion: z.array(path).default([]),
  /** Captioned clips of anything, which keep the model's sense of motion (MotionBooth). */
  generic: z.array(path).default([]),
  /** Base model: the word for the embedded one, or a folder in the diffusers layout. */
  base: path.default(EMBEDDED_BASE),
  /** Run folder to create. */
  out: path,
  preset: z.enum(Object.keys(DUALREAL_PRESETS) as [keyof typeof DUALREAL_PRESETS]).default('official'),
  /** DualReal with something taken away, by its name in methods/ablations.ts; `groups-L` is one group a block. */
  ablation: z.string().min(1).optional(),
  /** Options of the method, by name; DualReal's are differences from the preset. */
  options: z.record(z.string(), z.json()).default({}),
  subjectPrompt: z.string().min(1).optional(),
  motionPrompt: z.string().min(1).optional(),
  genericPrompt: z.string().min(1).optional(),
  /** The word or words that stand for the subject in captions and prompts (DreamVideo, MotionBooth). */
  subjectWord: z.string().min(1).optional(),
  /** The word that DreamVideo's learnt word starts from; default: the subject's. */
  classWord: z.string().min(1).optional(),
  /** Of all stages together, divided among them as published. */
  steps: count.optional(),
  /** Of single stages, by name; not together with `steps`. A stage of 0 steps is left out. */
  stageSteps: z.record(z.string(), z.number().int().nonnegative()).default({}),
  seed: z.number().int().nonnegative().default(42),
  /** Peak learning rate of every stage. */
  learningRate: z.number().positive().optional(),
  /** Of single stages, by name. */
  stageLearningRates: z.record(z.string(), z.number().positive()).default({}),
  /** What single groups of parameters multiply their stage's rate with, by name (DualReal: `controller`). */
  groupRates: z.record(z.string(), z.number().positive()).default({}),
  /** Of every stage; default: as published, but no more than a fifth of the stage. */
  warmupSteps: z.number().int().nonnegative().optional(),
  schedule: z.enum(LEARNING_RATE_SCHEDULES).optional(),
  maxGradientNorm: z.number().positive().optional(),
  weightDecay: z.number().nonnegative().optional(),
  subjectBatch: count.optional(),
  motionBatch: count.optional(),
  genericBatch: count.optional(),
  /** Probability r of a motion step. */
  motionRatio: z.number().min(0).max(1).default(0.5),
  /**
   * By data (identity, motion, generic): training timesteps come with density proportional to t to this power. 0:
   * uniform, as published.
   */
  timestepBias: z.partialRecord(z.enum(['identity', 'motion', 'generic']), z.number().min(0)).default({}),
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

/** One schema for every method: what is an option depends on which. */
export const trainRequestSchema = fields.superRefine(
  ({ method, options, ablation, steps, stageSteps }, context) => {
    const parsed = METHOD_OPTIONS[method].safeParse(options, { reportInput: true });
    for (const issue of parsed.error?.issues ?? []) {
      context.addIssue({ ...issue, path: ['options', ...issue.path] } as z.core.$ZodSuperRefineIssue);
    }
    const refuse = (field: string, message: string, input: unknown) =>
      context.addIssue({ code: 'custom', path: [field], message, input });
    if (ablation !== undefined && method !== 'dualreal') {
      refuse('ablation', 'none: only dualreal has ablations', ablation);
    }
    if (steps !== undefined && Object.keys(stageSteps).length > 0) {
      refuse('stageSteps', 'either the steps of all stages or those of single ones', stageSteps);
    }
  },
);

/** The request with absolute paths, so that a run can be resumed and used from any folder. */
export function withAbsolutePaths(request: TrainRequest): TrainRequest {
  const absolute = (paths: readonly string[]) => paths.map((each) => resolve(each));
  return {
    ...request,
    subject: absolute(request.subject),
    motion: absolute(request.motion),
    generic: absolute(request.generic),
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
