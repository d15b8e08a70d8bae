import type { Stage, StageRecipe } from '../method.ts';

/** VGen: AdamW without decay, ten steps of warm-up, then a constant rate; no clipping. */
const recipe = (steps: number, learningRate: number): StageRecipe => ({
  steps,
  learningRate,
  warmupSteps: 10,
  schedule: 'constant_with_warmup',
  betas: [0.9, 0.999],
  weightDecay: 0,
});

const NOISE_OFFSET = 0.1;

/**
 * The rates are constant, so the adapters that joint inference takes, of steps 500 and 600 out of 1000, are
 * those of runs of 500 and 600 steps.
 */
export const DREAMVIDEO_STAGES: readonly Stage[] = [
  {
    name: 'token',
    groups: ['token'],
    phases: [
      {
        name: 'token',
        data: 'identity',
        learning: ['token'],
        batch: 4,
        masks: true,
        noiseOffset: NOISE_OFFSET,
      },
    ],
    order: 'drawn',
    recipe: recipe(3000, 1e-4),
  },
  {
    name: 'identity',
    groups: ['identity'],
    phases: [
      {
        name: 'identity',
        data: 'identity',
        learning: ['identity'],
        batch: 4,
        masks: true,
        noiseOffset: NOISE_OFFSET,
      },
    ],
    order: 'drawn',
    recipe: recipe(500, 1e-5),
  },
  {
    name: 'motion',
    groups: ['motion'],
    phases: [
      {
        name: 'motion',
        data: 'motion',
        learning: ['motion'],
        batch: 2,
        condition: { frame: 'per-step', pixels: 'encoder', dropout: 0 },
        captionDropout: 0.5,
        noiseOffset: NOISE_OFFSET,
      },
    ],
    order: 'drawn',
    recipe: recipe(600, 1e-5),
  },
];
