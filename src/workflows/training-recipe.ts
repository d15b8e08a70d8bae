import type { DualRealOptions } from '../methods/dualreal/index.ts';
import type { AdapterRecipe } from '../store/adapter-file.ts';
import type { Base } from './base.ts';
import { packageVersions } from './package-versions.ts';
import type { TrainRequest } from './train-request.ts';
import type { TrainingData } from './training-data.ts';

/** What an adapter file tells about how it was made. */
export async function trainingRecipe(
  request: TrainRequest,
  options: DualRealOptions,
  base: Base,
  { items, sample }: TrainingData,
): Promise<AdapterRecipe> {
  const { steps, seed, learningRate, motionRatio, schedule, subjectBatch, motionBatch } = request;
  const prompts = (list: readonly { caption: string }[]) => [...new Set(list.map(({ caption }) => caption))];
  return {
    version: 1,
    options,
    preset: request.preset,
    base: {
      name: base.name,
      hash: await base.transformerWeights.hash(),
      blocks: base.transformer.blocks,
      width: base.transformer.width,
    },
    training: { steps, seed, learningRate, motionRatio, schedule, subjectBatch, motionBatch },
    subject: { prompts: prompts(items.identity), counts: { photos: items.identity.length } },
    motion: { prompts: prompts(items.motion), counts: { clips: items.motion.length } },
    size: {
      frames: sample.frames,
      height: sample.size.height,
      width: sample.size.width,
      fps: base.nominal.fps,
    },
    createdWith: `dualreal ${packageVersions().dualreal}`,
  };
}
