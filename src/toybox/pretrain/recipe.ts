import type { Stage } from '../universe/motions.ts';
/** The parts of the base that have their own pretraining; the transformer is pretrained over them. */
export const PRETRAINED_MODELS = ['vae', 'clip', 'dino', 'text'] as const;
export type PretrainedModel = (typeof PRETRAINED_MODELS)[number];

/** How a model is trained, whatever it is. Plain data: it is written into the run's record. */
export interface Recipe {
  readonly batch: number;
  /** Length of the cosine schedule. */
  readonly steps: number;
  readonly warmupSteps: number;
  /** After the warm-up; it falls to a hundredth of this. */
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly betas: readonly [number, number];
  readonly maxGradientNorm: number;
  /** Of the moving average of the parameters, which is what is exported. */
  readonly averageDecay: number;
  /** How much of the universe is used. */
  readonly stage: Stage;
}

const FINAL_SHARE = 0.01;

/** Linear warm-up, then half a cosine down to a hundredth; a pure function of the step (from 0). */
export function learningRateAt(
  { steps, warmupSteps, learningRate }: Pick<Recipe, 'steps' | 'warmupSteps' | 'learningRate'>,
  step: number,
): number {
  if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, steps - warmupSteps));
  return learningRate * (FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + Math.cos(Math.PI * progress)));
}
