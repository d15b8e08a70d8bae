import type { TransformerConfig } from '../../../models/cogvideox/transformer/index.ts';
import { DualrealError } from '../../../tensor/errors.ts';
import { SIDE, textConfig } from '../configs.ts';
import type { Recipe } from '../recipe.ts';
import { TEXT_TOKENS } from '../tokenizers.ts';

/** Classifier-free guidance that the base is judged and shipped with. */
export const SHIPPED_GUIDANCE = 3;

/**
 * Rates that the methods learn with on this base, by method and stage; the published ones, of models hundreds of times
 * as large, hardly move it. Chosen on the development split (docs/toybox.md).
 */
export const SHIPPED_LEARNING_RATES = {
  dualreal: { joint: 3e-3 },
  lora: { identity: 3e-3, motion: 3e-3 },
  full: { identity: 3e-4, motion: 3e-4 },
  dreamvideo: { token: 3e-4, identity: 3e-4, motion: 1e-3 },
  motionbooth: { subject: 3e-4 },
} as const;

/**
 * What groups of parameters multiply those rates with. At full rate DualReal's controller settles within its first
 * hundred steps, before the adapters have learnt what it weighs, and silences one of them for good. With `official`,
 * where each clip has one frame as its condition, what maps the condition learns to tell the clips by it: a motion is
 * then bound to their frames, and hardly shown for the photo of a subject. And its adapters weigh a fifth of those of
 * `clean`.
 */
export const SHIPPED_GROUP_RATES = {
  dualreal: { controller: 0.1 },
  'dualreal:official': { motion: 3, condition: 0.03 },
} as const;

/** Five clips teach how they move at high noise, and what they look like, which nobody asked for, at low noise. */
export const SHIPPED_TIMESTEP_BIAS = { dualreal: { motion: 1.5 } } as const;

/** Sizes of the transformer and how it is pretrained. */
export interface TransformerVariant {
  readonly heads: number;
  readonly headDim: number;
  readonly blocks: number;
  /** `batch` is that of clips. */
  readonly recipe: Recipe;
  readonly imageBatch: number;
  /** Steps on images alone, at the start. */
  readonly imageSteps: number;
  /** After those, one step of this many is on images. */
  readonly imageEvery: number;
  /** Pixel frames of a clip. */
  readonly frames: number;
  /** Samples in the bank, of each kind. */
  readonly clips: number;
  readonly images: number;
  /** Share of captions that are replaced by the empty prompt, for guidance. */
  readonly captionDropout: number;
  /** Density of timesteps: proportional to t to this power. 0 is uniform. */
  readonly noiseBias: number;
  /** Loss weight where the subject is; elsewhere 1, before the mean is made 1. */
  readonly subjectWeight: number;
  /** Every other step on clips is on so many of their tokens, drawn with the subject's ahead; 0: none is. */
  readonly clipTokens: number;
  /** Compute blocks again in the backward pass instead of keeping their activations. */
  readonly checkpointed: boolean;
}

/** Modulation, a third of all parameters, grows with it. */
const TIME_EMBEDDING_DIM = 128;

const SHIPPED: TransformerVariant = {
  heads: 6,
  headDim: 32,
  blocks: 14,
  recipe: {
    batch: 8,
    steps: 60_000,
    warmupSteps: 300,
    learningRate: 8e-4,
    weightDecay: 0.01,
    betas: [0.9, 0.99],
    maxGradientNorm: 1,
    averageDecay: 0.999,
    stage: 1,
  },
  imageBatch: 24,
  imageSteps: 8000,
  imageEvery: 4,
  frames: 9,
  clips: 60_000,
  images: 60_000,
  captionDropout: 0.1,
  noiseBias: 0.5,
  subjectWeight: 3,
  clipTokens: 0,
  checkpointed: false,
};

/** `gpu`: batches that fill a graphics processor, fewer steps. `tiny`: seconds, for tests. */
const VARIANTS: Readonly<Record<string, TransformerVariant>> = {
  shipped: SHIPPED,
  gpu: {
    ...SHIPPED,
    recipe: { ...SHIPPED.recipe, batch: 64, steps: 20_000, learningRate: 1e-3 },
    imageBatch: 192,
    imageSteps: 4000,
  },
  tiny: {
    ...SHIPPED,
    heads: 1,
    headDim: 16,
    blocks: 2,
    recipe: { ...SHIPPED.recipe, batch: 2, steps: 6, warmupSteps: 2 },
    imageBatch: 3,
    imageSteps: 2,
    imageEvery: 3,
    clips: 6,
    images: 6,
  },
};

export function transformerVariant(name: string): TransformerVariant {
  const variant = VARIANTS[name];
  if (variant) return variant;
  throw new DualrealError({
    where: 'transformer variant',
    expected: `one of ${Object.keys(VARIANTS).join(', ')}`,
    got: name,
  });
}

/** The transformer over latents of a VAE, in CogVideoX-5B's style: rotary positions. */
export function transformerConfig(
  { heads, headDim, blocks, frames }: TransformerVariant,
  vae: {
    readonly latentChannels: number;
    readonly spatialCompression: number;
    readonly temporalCompression: number;
  },
): TransformerConfig {
  const side = SIDE / vae.spatialCompression;
  return {
    heads,
    headDim,
    width: heads * headDim,
    blocks,
    latentChannels: vae.latentChannels,
    outChannels: vae.latentChannels,
    timeEmbeddingDim: TIME_EMBEDDING_DIM,
    textDim: textConfig().width,
    textTokens: TEXT_TOKENS,
    patch: 1,
    sampleHeight: side,
    sampleWidth: side,
    sampleFrames: frames,
    temporalCompression: vae.temporalCompression,
    positions: 'rotary',
    spatialInterpolationScale: 1.875,
    temporalInterpolationScale: 1,
    attentionBias: true,
    patchBias: true,
    normEpsilon: 1e-5,
  };
}

export type SampleKind = 'images' | 'clips';

/** What a step trains on; `parts` is some tokens of each of so many more clips. */
export type StepKind = SampleKind | 'parts';

export const sampleKindOf = (kind: StepKind): SampleKind => (kind === 'images' ? kind : 'clips');

/**
 * What a step (from 0) trains on: images first, then one step of `imageEvery` on images. Where parts of clips are
 * trained on, every other step is on whole ones: a model that never sees those takes every token for one that was
 * chosen for its subject, and spreads subjects over the picture.
 */
export function kindOfStep(
  { imageSteps, imageEvery, clipTokens }: TransformerVariant,
  step: number,
): StepKind {
  if (step < imageSteps || step % imageEvery === 0) return 'images';
  return clipTokens > 0 && step % 2 === 1 ? 'parts' : 'clips';
}

/** Samples of a step. Parts are of as many clips as have the tokens of `batch` whole ones. */
export function batchOfStep(variant: TransformerVariant, kind: StepKind, tokensOfClip: number): number {
  if (kind === 'images') return variant.imageBatch;
  const { batch } = variant.recipe;
  return kind === 'clips' ? batch : batch * Math.max(1, Math.floor(tokensOfClip / variant.clipTokens));
}
