import type { VaeConfig } from '../../models/cogvideox/vae/index.ts';
import { DualrealError } from '../../tensor/errors.ts';
import { SIDE } from './configs.ts';
import type { Recipe } from './recipe.ts';

/** Sizes of the VAE and how it is trained. */
export interface VaeVariant {
  readonly config: VaeConfig;
  readonly recipe: Recipe;
  /** Frames of the clips; there are single pictures beside them. */
  readonly frames: number;
  readonly pictures: number;
  readonly klWeight: number;
  /** Of the error of the differences between successive frames. */
  readonly changeWeight: number;
  /** Weight of the subject's surroundings; that of everything else is 1, before their mean is made 1. */
  readonly subjectWeight: number;
}

function vaeConfig(channels: readonly number[], latentChannels: number, temporal: 2 | 4): VaeConfig {
  return {
    pixelChannels: 3,
    outChannels: 3,
    channels,
    latentChannels,
    layersPerBlock: 1,
    normGroups: 4,
    normEpsilon: 1e-6,
    temporalCompression: temporal,
    spatialCompression: 2 ** (channels.length - 1),
    sampleHeight: SIDE,
    sampleWidth: SIDE,
    // Measured and replaced when the weights are exported.
    scalingFactor: 1,
  };
}

const SHIPPED: VaeVariant = {
  config: vaeConfig([16, 32, 64, 96], 16, 4),
  recipe: {
    batch: 1,
    steps: 8000,
    warmupSteps: 50,
    learningRate: 1.5e-3,
    weightDecay: 0,
    betas: [0.9, 0.99],
    maxGradientNorm: 1,
    averageDecay: 0.998,
    stage: 2,
  },
  frames: 9,
  pictures: 1,
  klWeight: 1e-4,
  changeWeight: 0.5,
  subjectWeight: 4,
};

/** `shipped` is the base's; the others are what it was compared with (docs/toybox.md). */
const VARIANTS: Readonly<Record<string, VaeVariant>> = {
  shipped: SHIPPED,
  l8: { ...SHIPPED, config: vaeConfig([16, 32, 64, 96], 8, 4) },
  c24: { ...SHIPPED, config: vaeConfig([24, 40, 64, 80], 16, 4) },
  c8: { ...SHIPPED, config: vaeConfig([8, 32, 64, 96], 16, 4) },
  t2l8: { ...SHIPPED, config: vaeConfig([16, 32, 64, 96], 8, 2) },
};

export function vaeVariant(name: string): VaeVariant {
  const variant = VARIANTS[name];
  if (variant) return variant;
  throw new DualrealError({
    where: 'VAE variant',
    expected: `one of ${Object.keys(VARIANTS).join(', ')}`,
    got: name,
  });
}
