import { z } from 'zod';
import { METRIC_NAMES } from '../evaluation/index.ts';

const count = z.number().int().positive();
const path = z.string().min(1);

/** What `evaluate` is asked: videos, what they should resemble, and what looks at them. */
export const evaluateRequestSchema = z.strictObject({
  /** Clips, folders of clips, outputs of `generate`, or run folders (whose references are then the default). */
  videos: z.array(path).min(1),
  /** Prompt of all videos; default: that of each output's request, or a text file beside the clip. */
  prompt: z.string().min(1).optional(),
  /** Reference photos of the subject: files or folders. */
  subject: z.array(path).default([]),
  /** Reference clips of the motion: files or folders. */
  motion: z.array(path).default([]),
  /** How reference clips are brought to the size of a video; default: as the run did, else 'stretch'. */
  fit: z.enum(['stretch', 'crop', 'pad']).optional(),
  /** Rate that reference clips are read at; default: as the run did, else 'native', frame by frame. */
  referenceFps: z.union([z.literal('native'), z.number().positive()]).optional(),
  metrics: z
    .array(z.enum(METRIC_NAMES))
    .min(1)
    .default([...METRIC_NAMES]),
  /** Folder of CLIP with its text tower; default: the embedded base's own. */
  clip: path.optional(),
  /** Folder or file of another image encoder for CLIP-I, e.g. the fine-tuned ViT-H/14. */
  clipI: path.optional(),
  /** Folder or file of DINO; default: the embedded one. */
  dino: path.optional(),
  /** Folder or file of RAFT; default: classical flow. */
  flow: path.optional(),
  /** Folder or file of AMT-S for motion smoothness; default: interpolation along the flow. */
  interpolator: path.optional(),
  /** Of the bootstrap. */
  seed: z.number().int().nonnegative().default(0),
  resamples: count.max(1_000_000).default(2000),
  /** Of the intervals. */
  level: z.number().gt(0).lt(1).default(0.95),
  /** Folder for evaluation.json, .csv and .txt. */
  out: path.optional(),
  device: z.enum(['cpu', 'webgpu', 'cuda']).default('cpu'),
  threads: count.optional(),
});

export type EvaluateRequest = z.infer<typeof evaluateRequestSchema>;
export type EvaluateRequestInput = z.input<typeof evaluateRequestSchema>;
