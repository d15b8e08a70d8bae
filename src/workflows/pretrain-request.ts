import { join } from 'node:path';
import { z } from 'zod';
import { PRETRAINED_MODELS } from '../toybox/pretrain/recipe.ts';
import { DEFAULT_CACHE_FOLDER } from '../toybox/universe/universe.ts';

/** What `dualreal pretrain <model>` is asked for. */
export const pretrainRequestSchema = z.strictObject({
  model: z.enum(PRETRAINED_MODELS),
  /** Of the model's sizes and recipe; see toybox/pretrain/configs.ts. */
  variant: z.string().default('shipped'),
  /** Absent: that of the run to go on with, or 1. */
  seed: z.int().min(0).optional(),
  /** Go on with the run of this name. */
  resume: z.boolean().default(false),
  /** Name of a run of the same sizes to take the first parameters from; absent: they are drawn. */
  startFrom: z.string().optional(),
  /** Stop (saved, to be resumed) after this long; absent: at the end of the schedule. */
  minutes: z.number().positive().optional(),
  /** Length of the schedule; absent: the recipe's. */
  steps: z.int().positive().optional(),
  /** Samples a step; absent: the run's to go on with, or the recipe's. */
  batch: z.int().positive().optional(),
  device: z.enum(['cpu', 'webgpu', 'cuda']).default('cpu'),
  threads: z.int().positive().optional(),
  /** Where runs and their checkpoints lie. */
  stateFolder: z.string().default('training-state'),
  /** Of the base; text reads CLIP's weights from it. */
  weightsFolder: z.string().default('weights/toybox'),
  /** Holds the universe's decoded art (300 MB); made where it is missing. */
  cacheFolder: z.string().min(1).default(DEFAULT_CACHE_FOLDER),
  /** Holds the art packages (750 MB), installed where they are missing. */
  artFolder: z.string().min(1).default(join(DEFAULT_CACHE_FOLDER, 'toybox-art')),
  /** Of the run inside it; absent: the model, and the variant where it is another than the shipped one. */
  name: z.string().optional(),
  checkpointMinutes: z.number().positive().default(3),
  reviewMinutes: z.number().positive().default(5),
});

export type PretrainRequest = z.output<typeof pretrainRequestSchema>;
