import { SchedulerError } from './scheduler-config.ts';

export const LEARNING_RATE_SCHEDULES = [
  'constant',
  'constant_with_warmup',
  'linear',
  'cosine',
  'cosine_with_restarts',
] as const;
export type LearningRateScheduleKind = (typeof LEARNING_RATE_SCHEDULES)[number];

export interface LearningRateSettings {
  readonly kind: LearningRateScheduleKind;
  /** The rate reached after the warm-up. */
  readonly baseLearningRate: number;
  /** Steps of linear warm-up from 0; `constant` has none whatever is given. */
  readonly warmupSteps: number;
  /** Optimizer steps of the whole run, warm-up included. The two constant kinds do not look at it. */
  readonly totalSteps: number;
  /** Cosine cycles after the warm-up, for `cosine_with_restarts`; 1 by default. */
  readonly cycles?: number;
}

/** The learning rate of the optimizer step with this index, from 0. */
export type LearningRateSchedule = (step: number) => number;

/**
 * The schedules that diffusers `optimization.get_scheduler` gives to the training scripts. With a warm-up the
 * rate of step 0 is 0. Past the end `linear` and `cosine_with_restarts` stay at 0, while `cosine` rises again.
 * Throws {@link SchedulerError} for settings that are out of range.
 */
export function learningRateSchedule(settings: LearningRateSettings): LearningRateSchedule {
  const { kind, baseLearningRate, warmupSteps, totalSteps, cycles = 1 } = settings;
  requireRange('base learning rate', baseLearningRate, Number.isFinite(baseLearningRate), 0);
  requireRange('warm-up steps', warmupSteps, Number.isInteger(warmupSteps), 0);
  requireRange('total steps', totalSteps, Number.isInteger(totalSteps), 1);
  requireRange('cycles', cycles, Number.isInteger(cycles), 1);
  if (kind === 'constant') return () => baseLearningRate;
  const decaySteps = Math.max(1, totalSteps - warmupSteps);
  return (step) => {
    if (step < warmupSteps) return baseLearningRate * (step / warmupSteps);
    return baseLearningRate * decay(kind, (step - warmupSteps) / decaySteps, cycles);
  };
}

/** The factor at `progress` through the steps after the warm-up; beyond 1 the run is over. */
function decay(
  kind: Exclude<LearningRateScheduleKind, 'constant'>,
  progress: number,
  cycles: number,
): number {
  switch (kind) {
    case 'constant_with_warmup':
      return 1;
    case 'linear':
      return Math.max(0, 1 - progress);
    case 'cosine':
      return halfCosine(progress);
    case 'cosine_with_restarts':
      return progress >= 1 ? 0 : halfCosine((cycles * progress) % 1);
  }
}

function halfCosine(progress: number): number {
  return 0.5 * (1 + Math.cos(Math.PI * progress));
}

function requireRange(where: string, value: number, isKind: boolean, minimum: number): void {
  if (isKind && value >= minimum) return;
  throw new SchedulerError({ where, expected: `a number from ${minimum}`, got: String(value) });
}
