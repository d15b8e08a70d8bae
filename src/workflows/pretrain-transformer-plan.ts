import type { TransformerConfig } from '../models/cogvideox/transformer/index.ts';
import { DualrealError } from '../tensor/errors.ts';
import type { BaseParts } from '../toybox/pretrain/transformer/base-parts.ts';
import {
  type TransformerVariant,
  transformerConfig,
  transformerVariant,
} from '../toybox/pretrain/transformer/variants.ts';
import type { PretrainTransformerRequest } from './pretrain-transformer-request.ts';

export interface TransformerPlan {
  readonly variant: TransformerVariant;
  readonly microBatches: number;
  /** What must not change when the run goes on. */
  readonly identity: Readonly<Record<string, string | number>>;
}

/** The variant with what the request says otherwise. */
export function transformerPlan(request: PretrainTransformerRequest): TransformerPlan {
  const known = transformerVariant(request.variant);
  const { microBatches, seed } = request;
  const variant: TransformerVariant = {
    ...known,
    recipe: {
      ...known.recipe,
      batch: request.batch ?? known.recipe.batch,
      learningRate: request.learningRate ?? known.recipe.learningRate,
      stage: request.stage ?? known.recipe.stage,
    },
    imageBatch: request.imageBatch ?? known.imageBatch,
    imageSteps: request.imageSteps ?? known.imageSteps,
    clips: request.clips ?? known.clips,
    images: request.images ?? known.images,
    subjectWeight: request.subjectWeight ?? known.subjectWeight,
    clipTokens: request.clipTokens ?? known.clipTokens,
    checkpointed: request.checkpointed,
  };
  for (const [name, batch] of Object.entries({
    batch: variant.recipe.batch,
    imageBatch: variant.imageBatch,
  })) {
    if (batch % microBatches === 0) continue;
    const expected = `a multiple of ${microBatches}, the number of micro-batches`;
    throw new DualrealError({ where: name, expected, got: String(batch) });
  }
  const { recipe, imageBatch, imageSteps, clips, images, subjectWeight, clipTokens } = variant;
  const identity = {
    model: 'transformer',
    variant: request.variant,
    seed,
    batch: recipe.batch,
    learningRate: recipe.learningRate,
    stage: recipe.stage,
    imageBatch,
    imageSteps,
    clips,
    images,
    subjectWeight,
    microBatches,
    ...(clipTokens > 0 && { clipTokens }),
    startFrom: request.startFrom ?? '',
  };
  return { variant, microBatches, identity };
}

export const transformerConfigOf = (variant: TransformerVariant, { vae }: BaseParts): TransformerConfig =>
  transformerConfig(variant, vae);
