import type { DualRealOptions } from '../methods/dualreal/index.ts';
import type { Runtime } from '../runtime/index.ts';
import { DatasetError, type DatasetItem, readDataset } from '../store/dataset.ts';
import { FeatureCache } from '../store/feature-cache.ts';
import type { Base } from './base.ts';
import type { ItemFeatures } from './features.ts';
import { prepareFeatures, type SampleShape } from './prepare.ts';
import type { TrainRequest } from './train-request.ts';
import type { WorkflowContext, WorkflowEvent } from './workflow.ts';

/** Encoded photos and clips, and what they were read from. */
export interface TrainingData {
  readonly identity: readonly ItemFeatures[];
  readonly motion: readonly ItemFeatures[];
  readonly items: { readonly identity: readonly DatasetItem[]; readonly motion: readonly DatasetItem[] };
  /** As trained at; its frames may be fewer than asked for. */
  readonly sample: SampleShape;
}

/** The size a request trains at: its own numbers, else the base's nominal sample. */
export function sampleShape(
  request: Pick<TrainRequest, 'width' | 'height' | 'frames' | 'fps' | 'fit'>,
  base: Base,
): SampleShape {
  return {
    size: { width: request.width ?? base.nominal.width, height: request.height ?? base.nominal.height },
    frames: request.frames ?? base.nominal.frames,
    fps: request.fps,
    fit: request.fit,
    temporalRatio: base.transformer.temporalCompression,
  };
}

/** Reads and encodes both data sets; the encoders are released before this returns. */
export async function* prepareTraining(
  request: TrainRequest,
  options: DualRealOptions,
  base: Base,
  runtime: Runtime,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent, TrainingData> {
  const items = {
    identity: await readAll(request.subject, request.subjectPrompt, 'photo'),
    motion: await readAll(request.motion, request.motionPrompt, 'clip'),
  };
  const sample = sampleShape(request, base);
  yield {
    type: 'stage',
    stage: 'data',
    detail:
      `${items.identity.length} photos, ${items.motion.length} clips; ` +
      `${sample.size.width}×${sample.size.height}, ${sample.frames} frames`,
  };
  const cache = new FeatureCache(context.cacheFolder);
  const encoders = await base.openEncoders(runtime);
  const common = { sample, options, seed: request.seed, skipBadFiles: request.skipBadFiles };
  try {
    const identity = yield* prepareFeatures(
      { items: items.identity, dimension: 'identity', ...common },
      encoders,
      cache,
      context,
    );
    const motion = yield* prepareFeatures(
      { items: items.motion, dimension: 'motion', ...common },
      encoders,
      cache,
      context,
    );
    const frames = (motion[0].posterior.mean.shape[0] - 1) * sample.temporalRatio + 1;
    if (frames < sample.frames) {
      const message = `the clips have ${frames} frames to train on, fewer than ${sample.frames}`;
      yield { type: 'notice', message };
    }
    return { identity, motion, items, sample: { ...sample, frames } };
  } finally {
    await encoders.release();
  }
}

async function readAll(
  paths: readonly string[],
  prompt: string | undefined,
  wanted: 'photo' | 'clip',
): Promise<readonly DatasetItem[]> {
  const sets = await Promise.all(
    paths.map((path) => readDataset(path, prompt === undefined ? {} : { prompt })),
  );
  const items = sets.flat();
  const wrong = wanted === 'clip' ? items.filter(({ kind }) => kind === 'photo') : [];
  if (wrong.length > 0) {
    throw new DatasetError({
      where: wrong.map(({ path }) => path).join(', '),
      expected: 'clips (motion is learnt from clips)',
      got: 'photos',
      hint: 'photos of the subject go to --subject',
    });
  }
  return items;
}
