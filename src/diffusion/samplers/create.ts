import type { NoiseSchedule } from '../schedule.ts';
import type { SamplerKind } from '../scheduler-config.ts';
import { createDdimSampler } from './ddim.ts';
import { createDpmSampler } from './dpm.ts';
import type { Sampler } from './sampler.ts';

const FACTORIES: Readonly<Record<SamplerKind, (schedule: NoiseSchedule, steps: number) => Sampler>> = {
  ddim: createDdimSampler,
  dpm: createDpmSampler,
};

export const SAMPLER_KINDS = ['ddim', 'dpm'] as const satisfies readonly SamplerKind[];

/**
 * The sampler of a kind for a number of steps (1 … training timesteps). Throws SchedulerError for a bad step
 * count and for schedules that the kind cannot sample, such as noise prediction at ᾱ = 0.
 */
export function createSampler(kind: SamplerKind, schedule: NoiseSchedule, steps: number): Sampler {
  return FACTORIES[kind](schedule, steps);
}
