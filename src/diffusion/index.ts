export {
  combineGuidance,
  combineGuidedBatch,
  GUIDANCE_SCHEDULES,
  type GuidanceSchedule,
  type GuidanceScheduleKind,
  guidanceSchedule,
} from './guidance.ts';
export {
  LEARNING_RATE_SCHEDULES,
  type LearningRateSchedule,
  type LearningRateScheduleKind,
  type LearningRateSettings,
  learningRateSchedule,
} from './learning-rate.ts';
export {
  addNoise,
  type NoiseLevels,
  noiseFromOriginal,
  noiseFromVelocity,
  noiseLevels,
  originalFromNoise,
  originalFromPrediction,
  originalFromVelocity,
  originalLossWeights,
  velocityTarget,
} from './prediction.ts';
export { createSampler, SAMPLER_KINDS } from './samplers/create.ts';
export { type DpmCoefficients, dpmSchedule } from './samplers/dpm.ts';
export { initialNoise, recordedNoise, seededNoise } from './samplers/noise.ts';
export {
  isFinished,
  type NoiseSource,
  type Sampler,
  type SamplerState,
  SamplerStateError,
  type SamplerStep,
  samplerStateFromTensors,
  samplerStateToTensors,
} from './samplers/sampler.ts';
export {
  alphasCumprodAsBf16,
  createNoiseSchedule,
  type NoiseSchedule,
  parseNoiseSchedule,
} from './schedule.ts';
export {
  type PredictionType,
  parseSchedulerConfig,
  type SamplerKind,
  type SchedulerConfig,
  SchedulerError,
  type TimestepSpacing,
} from './scheduler-config.ts';
export { drawTimestep } from './timesteps.ts';
