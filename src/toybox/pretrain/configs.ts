import { clipRecipe, dinoRecipe } from '../../media/preprocess.ts';
import type { ClipConfig } from '../../models/clip/index.ts';
import type { DinoConfig } from '../../models/dino/index.ts';
import type { T5Config } from '../../models/t5/index.ts';
import type { Recipe } from './recipe.ts';
import { clipTokenizerFiles, TEXT_TOKENS, t5TokenizerFiles, tokenizerOf } from './tokenizers.ts';

/** Side of the universe's pictures in pixels. */
export const SIDE = 64;
/** Width of CLIP's space, and so of DualReal's motion condition. */
export const EMBEDDING_DIM = 128;

/** How CLIP takes pictures of the universe: as they are, with OpenAI's statistics. */
export const CLIP_PREPROCESS = clipRecipe(SIDE);

const vocabularyOf = (files: ReturnType<typeof t5TokenizerFiles>, where: string) =>
  tokenizerOf(files, where).idLimit;

/** ViT-S-like proportions at 64²: 64 patches of 8 × 8. 1.7 M parameters with the text tower. */
export function clipConfig(): ClipConfig {
  const tower = { activation: 'quick_gelu', normEpsilon: 1e-5, width: 128, feedForwardWidth: 512 } as const;
  return {
    embeddingDim: EMBEDDING_DIM,
    text: {
      ...tower,
      blocks: 3,
      heads: 4,
      vocabulary: vocabularyOf(clipTokenizerFiles(), 'CLIP vocabulary'),
      tokens: TEXT_TOKENS,
    },
    vision: { ...tower, blocks: 4, heads: 4, imageSide: SIDE, patch: 8 },
  };
}

/** DINO's evaluation transform. */
export const DINO_PREPROCESS = dinoRecipe(SIDE);

/** ViT-S/16's proportions: at 64² and a patch of 8 it sees 64 patches. */
export function dinoConfig(): DinoConfig {
  return {
    width: 128,
    feedForwardWidth: 512,
    blocks: 4,
    heads: 4,
    patch: 8,
    imageSide: SIDE,
    qkvBias: true,
    normEpsilon: 1e-6,
  };
}

/** Three blocks of width 128. */
export function textConfig(): T5Config {
  return {
    vocabulary: vocabularyOf(t5TokenizerFiles(), 'T5 vocabulary'),
    width: 128,
    heads: 4,
    headDim: 32,
    feedForwardWidth: 256,
    blocks: 3,
    positionBuckets: 32,
    maxDistance: 128,
    normEpsilon: 1e-6,
  };
}

export const CLIP_RECIPE: Recipe = {
  batch: 128,
  steps: 1000,
  warmupSteps: 100,
  learningRate: 1e-3,
  weightDecay: 0.05,
  betas: [0.9, 0.98],
  maxGradientNorm: 1,
  averageDecay: 0.995,
  stage: 2,
};

export const TEXT_RECIPE: Recipe = {
  ...CLIP_RECIPE,
  steps: 1000,
  learningRate: 1e-3,
  weightDecay: 0.01,
};

export const DINO_RECIPE: Recipe = {
  ...CLIP_RECIPE,
  batch: 48,
  steps: 1200,
  warmupSteps: 50,
  learningRate: 8e-4,
  weightDecay: 0.04,
  betas: [0.9, 0.98],
};
