import { z } from 'zod';
import { DualrealError } from '../tensor/errors.ts';

/** A scheduler setting, step count or timestep that cannot be used as given. */
export class SchedulerError extends DualrealError {}

/** What the network predicts: the noise ε, the clean sample x0, or the velocity v = √ᾱ·ε − √(1−ᾱ)·x0. */
export type PredictionType = 'epsilon' | 'sample' | 'v_prediction';

/** How a short grid of sampling steps is laid over the training steps. */
export type TimestepSpacing = 'trailing' | 'leading' | 'linspace';

export type SamplerKind = 'ddim' | 'dpm';

const SAMPLER_OF_CLASS: Readonly<Record<string, SamplerKind>> = {
  CogVideoXDDIMScheduler: 'ddim',
  CogVideoXDPMScheduler: 'dpm',
};

const beta = z.number().gt(0).lt(1);

/** Absent fields take the default values of the two upstream classes. */
const schema = z
  .strictObject({
    _class_name: z.enum(['CogVideoXDDIMScheduler', 'CogVideoXDPMScheduler']).optional(),
    _diffusers_version: z.string().optional(),
    num_train_timesteps: z.int().min(1).max(1_000_000).default(1000),
    beta_start: beta.default(0.00085),
    beta_end: beta.default(0.012),
    beta_schedule: z.enum(['scaled_linear', 'linear']).default('scaled_linear'),
    trained_betas: z.array(beta).min(1).nullable().default(null),
    // The upstream classes carry this field (default true) but never clip. An absent field is therefore no
    // request; an explicit true would be ignored upstream, and refusing it is better than doing the same.
    clip_sample: z.literal(false).default(false),
    clip_sample_range: z.number().optional(),
    sample_max_value: z.number().optional(),
    set_alpha_to_one: z.boolean().default(true),
    steps_offset: z.int().min(0).default(0),
    prediction_type: z.enum(['epsilon', 'sample', 'v_prediction']).default('epsilon'),
    timestep_spacing: z.enum(['trailing', 'leading', 'linspace']).default('leading'),
    rescale_betas_zero_snr: z.boolean().default(false),
    snr_shift_scale: z.number().gt(0).default(3),
  })
  .refine((config) => !config.trained_betas || config.trained_betas.length === config.num_train_timesteps, {
    path: ['trained_betas'],
    error: 'must have num_train_timesteps entries',
  });

/** A checked scheduler_config.json of diffusers, in this project's names. */
export interface SchedulerConfig {
  /** The sampler the file asks for by its class name; undefined where it names none. */
  readonly samplerKind: SamplerKind | undefined;
  readonly trainTimesteps: number;
  readonly betaStart: number;
  readonly betaEnd: number;
  readonly betaSchedule: 'scaled_linear' | 'linear';
  /** Overrides the three beta fields above. */
  readonly trainedBetas: readonly number[] | null;
  /** ᾱ beyond the last step: 1 where true, the first table entry where false. */
  readonly setAlphaToOne: boolean;
  /** Added to every timestep under leading spacing. */
  readonly stepsOffset: number;
  readonly predictionType: PredictionType;
  readonly timestepSpacing: TimestepSpacing;
  /** Rescale ᾱ so that the last training step carries no signal at all (Lin et al. 2023). */
  readonly zeroTerminalSnr: boolean;
  /** s in ᾱ / (s + (1 − s)·ᾱ), which divides the signal-to-noise ratio by s. */
  readonly snrShiftScale: number;
}

/**
 * Reads the parsed JSON of a diffusers scheduler_config.json (CogVideoXDDIMScheduler or CogVideoXDPMScheduler).
 * `source` names the file in errors. Throws {@link SchedulerError}, listing every field that is unknown or has
 * a value without support.
 */
export function parseSchedulerConfig(json: unknown, source = 'scheduler_config.json'): SchedulerConfig {
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    throw new SchedulerError({
      where: source,
      expected: 'settings of CogVideoXDDIMScheduler or CogVideoXDPMScheduler that are supported here',
      got: parsed.error.issues.map((issue) => describeIssue(issue, json)).join('; '),
    });
  }
  const fields = parsed.data;
  return {
    samplerKind: fields._class_name === undefined ? undefined : SAMPLER_OF_CLASS[fields._class_name],
    trainTimesteps: fields.num_train_timesteps,
    betaStart: fields.beta_start,
    betaEnd: fields.beta_end,
    betaSchedule: fields.beta_schedule,
    trainedBetas: fields.trained_betas,
    setAlphaToOne: fields.set_alpha_to_one,
    stepsOffset: fields.steps_offset,
    predictionType: fields.prediction_type,
    timestepSpacing: fields.timestep_spacing,
    zeroTerminalSnr: fields.rescale_betas_zero_snr,
    snrShiftScale: fields.snr_shift_scale,
  };
}

function describeIssue(issue: z.core.$ZodIssue, json: unknown): string {
  if (issue.path.length === 0) return issue.message;
  let value = json;
  for (const key of issue.path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
  const shown = JSON.stringify(value) ?? 'nothing';
  return `${issue.path.join('.')} = ${shown.length > 60 ? `${shown.slice(0, 60)}…` : shown} (${issue.message})`;
}
