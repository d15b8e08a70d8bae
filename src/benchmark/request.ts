import { resolve } from 'node:path';
import { z } from 'zod';
import { GUIDANCE_SCHEDULES, SAMPLER_KINDS } from '../diffusion/index.ts';
import { absoluteBase } from '../workflows/base-location.ts';

/** The paper's tables and figures, the comparison of our presets, and whether customization works at all. */
export const BENCHMARK_NAMES = [
  'table1',
  'table2',
  'table3',
  'fig2',
  'fig6',
  'fig7',
  'presets',
  'customization',
] as const;
export type BenchmarkName = (typeof BENCHMARK_NAMES)[number];

const count = z.number().int().positive();
const path = z.string().min(1);
const json = z.record(z.string(), z.json());

/** How every video is made; what is left out is as `generate` has it. */
const samplingSchema = z.strictObject({
  steps: count.optional(),
  guidance: z.number().min(1).optional(),
  guidanceSchedule: z.enum(GUIDANCE_SCHEDULES).optional(),
  scheduler: z.enum(SAMPLER_KINDS).optional(),
  negativePrompt: z.string().optional(),
});

/** What looks at the videos; left out: the embedded encoders. */
const encodersSchema = z.strictObject({
  clip: path.optional(),
  clipI: path.optional(),
  dino: path.optional(),
  flow: path.optional(),
  interpolator: path.optional(),
});

/** What `bench` is asked for. */
export const benchRequestSchema = z.strictObject({
  benchmark: z.enum(BENCHMARK_NAMES),
  /** Folder to create. */
  out: path,
  /** Base model: the word for the embedded one, or a folder; default: the manifest's, else the embedded one. */
  base: path.optional(),
  /** File that lists cases; default: held-out cases of the Toybox universe. */
  manifest: path.optional(),
  /** `development` is for tuning: what is reported comes from `evaluation`. */
  split: z.enum(['evaluation', 'development']).default('evaluation'),
  /** Folder with the art of the Toybox universe, for what does not come with dualreal. */
  artCache: path.default('.cache'),
  /**
   * How many cases are drawn, evenly over subjects and motions; default: 4 of the universe (`customization`: 6), all of
   * a manifest.
   */
  cases: count.or(z.literal('all')).optional(),
  /** These cases, by id, instead of a draw: `sushi-somersault` is the universe's sushi with its somersault. */
  pairs: z
    .array(z.string().min(1))
    .min(1)
    .refine((ids) => new Set(ids).size === ids.length, 'different cases')
    .optional(),
  /**
   * How many prompts of each case, from the first on; default: 8 in the universe (`customization`: 20), all in a
   * manifest.
   */
  prompts: count.or(z.literal('all')).optional(),
  /** Some of the rows, by name. */
  methods: z.array(z.string().min(1)).min(1).optional(),
  /** Lengths of the identity stage, and of the motion stage after each of them, that Fig. 2 compares. */
  identitySteps: z
    .array(count)
    .min(1)
    .refine((steps) => new Set(steps).size === steps.length, 'different numbers')
    .default([300]),
  motionSteps: z
    .array(z.number().int().nonnegative())
    .min(2)
    .refine((steps) => new Set(steps).size === steps.length, 'different numbers')
    .default([0, 50, 100, 200, 400]),
  /** Rendered clips of each motion that the motion classifier of `customization` learns from. */
  lessons: count.default(400),
  /** Rendered clips of each held-out motion that it is examined on. */
  exams: count.default(60),
  /** Of the draw, prompts, what is rendered, training, and videos. */
  seed: z.number().int().nonnegative().default(42),
  /** Fields of every training request, e.g. `{"steps": 300}`. */
  train: json.default({}),
  /** Fields of single rows' training requests, by the row's name; they come before those of `train`. */
  trainOf: z.record(z.string(), json).default({}),
  sampling: samplingSchema.default({}),
  width: count.optional(),
  height: count.optional(),
  frames: count.optional(),
  encoders: encodersSchema.default({}),
  /** Of the bootstrap. */
  resamples: count.max(1_000_000).default(2000),
  level: z.number().gt(0).lt(1).default(0.95),
  device: z.enum(['cpu', 'webgpu', 'cuda']).default('cpu'),
});

export type BenchRequest = z.infer<typeof benchRequestSchema>;
export type BenchRequestInput = z.input<typeof benchRequestSchema>;

/** What a session is told besides; it has no effect on any number, only on how many there are. */
export const benchControlSchema = z.strictObject({
  /** No case is begun that would not be done in this time, by how long the others took; the first always is. */
  minutes: z.number().positive().optional(),
  /** Keeps checkpoints and adapters, which take much space; else they go when a row of a case is done. */
  keepRuns: z.boolean().default(false),
  /** Cases that the report shows pictures of. */
  sheets: z.number().int().nonnegative().default(12),
  threads: count.optional(),
});

export type BenchControl = z.infer<typeof benchControlSchema>;

/** The request with absolute paths, so that it can be gone on with from any folder. */
export function withAbsolutePaths(request: BenchRequest): BenchRequest {
  const { manifest, encoders } = request;
  return {
    ...request,
    out: resolve(request.out),
    ...(request.base !== undefined && { base: absoluteBase(request.base) }),
    artCache: resolve(request.artCache),
    ...(manifest !== undefined && { manifest: resolve(manifest) }),
    encoders: Object.fromEntries(
      Object.entries(encoders).map(([name, folder]) => [name, folder && resolve(folder)]),
    ),
  };
}
