import type { VaeConfig } from '../../models/cogvideox/vae/index.ts';
import { DualrealError } from '../../tensor/errors.ts';
import { SIDE } from './configs.ts';
import type { Recipe } from './recipe.ts';

/** Sizes of the VAE and how it is trained. */
export interface VaeVariant {
  readonly config: VaeConfig;
  readonly recipe: Recipe;
  /** Frames of the clips (1: more pictures); there are whole single pictures beside them. */
  readonly frames: number;
  /** Side of the clips: crops where it is less than the universe's. */
  readonly clipSide: number;
  readonly pictures: number;
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
  config: vaeConfig([16, 32, 64, 96], 24, 2),
  recipe: {
    batch: 1,
    steps: 8000,
    warmupSteps: 50,
    learningRate: 1e-3,
    weightDecay: 0,
    betas: [0.9, 0.99],
    maxGradientNorm: 1,
    averageDecay: 0.99,
    stage: 2,
  },
  frames: 9,
  clipSide: SIDE,
  pictures: 1,
  changeWeight: 0.5,
  subjectWeight: 4,
};

const CROPS: VaeVariant = {
  ...SHIPPED,
  recipe: { ...SHIPPED.recipe, batch: 2, steps: 6000 },
  clipSide: SIDE / 2,
};

/**
 * `shipped` is the base's last stage; it goes on from `crops`, which goes on from `pictures`: what a picture
 * is like is learnt where it costs a ninth, and motion first on clips cut to a quarter. Sizes are the same.
 */
const VARIANTS: Readonly<Record<string, VaeVariant>> = {
  shipped: SHIPPED,
  crops: CROPS,
  pictures: {
    ...SHIPPED,
    recipe: { ...SHIPPED.recipe, batch: 8, steps: 4000 },
    frames: 1,
    clipSide: SIDE / 2,
    pictures: 2,
  },
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
