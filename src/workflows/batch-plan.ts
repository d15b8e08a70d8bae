import type { Dimension } from '../methods/dualreal/index.ts';
import { randomStream } from '../tensor/random.ts';

export interface PlanSettings {
  readonly seed: number;
  readonly motionRatio: number;
  readonly batch: Readonly<Record<Dimension, number>>;
  readonly items: Readonly<Record<Dimension, number>>;
  readonly trainTimesteps: number;
}

/** Everything random about one training step except noise values. */
export interface StepPlan {
  readonly step: number;
  readonly phase: Dimension;
  /** Which photos or clips form the batch. */
  readonly items: readonly number[];
  readonly timesteps: readonly number[];
}

/**
 * The plan of a step, a pure function of (seed, step). As in the release, both data sets move on at every
 * step whichever phase is drawn; each pass over a set is a fresh permutation.
 */
export function planStep(settings: PlanSettings, step: number): StepPlan {
  const { seed, motionRatio, batch, items, trainTimesteps } = settings;
  const phase = randomStream(seed, 'phase', step).uniform() < motionRatio ? 'motion' : 'identity';
  const drawn = randomStream(seed, 'timestep', step);
  return {
    step,
    phase,
    items: Array.from({ length: batch[phase] }, (_, i) =>
      itemAt(seed, phase, items[phase], step * batch[phase] + i),
    ),
    timesteps: Array.from({ length: batch[phase] }, () => drawn.integer(trainTimesteps)),
  };
}

function itemAt(seed: number, phase: Dimension, count: number, position: number): number {
  const pass = Math.floor(position / count);
  return randomStream(seed, 'order', phase, pass).permutation(count)[position % count];
}
