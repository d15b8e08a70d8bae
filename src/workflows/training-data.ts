import type { Method, Phase } from '../methods/index.ts';
import type { Runtime } from '../runtime/index.ts';
import { DatasetError, type DatasetItem, readDataset } from '../store/dataset.ts';
import { FeatureCache } from '../store/feature-cache.ts';
import type { FloatTensor } from '../tensor/host-tensor.ts';
import type { Base } from './base.ts';
import { encodeText } from './encode-text.ts';
import type { EncoderSource } from './encoders.ts';
import type { ItemFeatures } from './features.ts';
import { prepareFeatures, type SampleShape } from './prepare.ts';
import { wordEmbedding } from './subject-word.ts';
import { type DataKind, phasesOf } from './train-plan.ts';
import type { TrainRequest } from './train-request.ts';
import type { WorkflowContext, WorkflowEvent } from './workflow.ts';

/** Photos and clips by what they are for; a method leaves out what it learns nothing from. */
type ByKind<T> = Readonly<Partial<Record<DataKind, readonly T[]>>>;

/** Encoded photos and clips, and what they were read from. */
export interface TrainingData {
  readonly features: ByKind<ItemFeatures>;
  readonly items: ByKind<DatasetItem>;
  /** Of the empty caption [S, E], where captions are dropped. */
  readonly emptyText?: FloatTensor;
  /** Text embedding [E] that the subject's learnt word starts from. */
  readonly classWord?: FloatTensor;
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

const KINDS = ['identity', 'motion', 'generic'] as const;
const NAMES: Readonly<Record<DataKind, string>> = {
  identity: 'photos',
  motion: 'clips',
  generic: 'generic clips',
};

/** Reads and encodes the data sets that a method learns from; the encoders are released before this returns. */
export async function* prepareTraining(
  request: TrainRequest,
  method: Method,
  base: Base,
  runtime: Runtime,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent, TrainingData> {
  const phases = phasesOf(method);
  const kinds = KINDS.filter((kind) => phases.some(({ data }) => data === kind));
  const items = await readItems(request, kinds);
  const sample = sampleShape(request, base);
  const counts = kinds.map((kind) => `${items[kind]!.length} ${NAMES[kind]}`);
  const { width, height } = sample.size;
  yield {
    type: 'stage',
    stage: 'data',
    detail: `${counts.join(', ')}; ${width}×${height}, ${sample.frames} frames`,
  };
  const cache = new FeatureCache(context.cacheFolder);
  const encoders = await base.openEncoders(runtime);
  try {
    const features: Partial<Record<DataKind, readonly ItemFeatures[]>> = {};
    for (const kind of kinds) {
      const own = phases.filter(({ data }) => data === kind);
      features[kind] = yield* prepareFeatures(
        {
          items: items[kind]!,
          data: kind,
          sample,
          condition: own.find(({ condition }) => condition)?.condition,
          masks: own.some(({ masks }) => masks),
          subjectWord: kind === 'identity' && method.subjectWord ? request.subjectWord : undefined,
          seed: request.seed,
          skipBadFiles: request.skipBadFiles,
        },
        encoders,
        cache,
        context,
      );
    }
    const frames = trainedFrames(features, sample);
    if (frames < sample.frames) {
      const message = `the clips have ${frames} frames to train on, fewer than ${sample.frames}`;
      yield { type: 'notice', message };
    }
    return {
      features,
      items,
      sample: { ...sample, frames },
      ...(await encodeWords(request, method, phases, encoders, cache)),
    };
  } finally {
    await encoders.release();
  }
}

/** What is encoded besides captions: the empty one, and the word that a learnt word starts from. */
async function encodeWords(
  { subjectWord, classWord = subjectWord }: TrainRequest,
  method: Method,
  phases: readonly Phase[],
  encoders: EncoderSource,
  cache: FeatureCache,
): Promise<Pick<TrainingData, 'emptyText' | 'classWord'>> {
  const dropped = phases.some(({ captionDropout = 0 }) => captionDropout > 0);
  const learnt = method.subjectWord === 'captions and prompts';
  return {
    ...(dropped && { emptyText: await encodeText('', encoders, cache, () => {}) }),
    ...(learnt && { classWord: await wordEmbedding(classWord!, encoders, cache) }),
  };
}

/** Frames of the clips that decide the length of videos: those of the motion, else the generic ones. */
function trainedFrames({ motion, generic }: ByKind<ItemFeatures>, sample: SampleShape): number {
  const clips = motion ?? generic;
  if (!clips) return sample.frames;
  return (clips[0].posterior.mean.shape[0] - 1) * sample.temporalRatio + 1;
}

async function readItems(request: TrainRequest, kinds: readonly DataKind[]): Promise<ByKind<DatasetItem>> {
  const sets = {
    identity: { paths: request.subject, prompt: request.subjectPrompt },
    motion: { paths: request.motion, prompt: request.motionPrompt },
    generic: { paths: request.generic, prompt: request.genericPrompt },
  };
  const items: Partial<Record<DataKind, readonly DatasetItem[]>> = {};
  for (const kind of kinds) {
    const { paths, prompt } = sets[kind];
    items[kind] = await readAll(paths, prompt, kind);
  }
  return items;
}

async function readAll(
  paths: readonly string[],
  prompt: string | undefined,
  wanted: DataKind,
): Promise<readonly DatasetItem[]> {
  const sets = await Promise.all(
    paths.map((path) => readDataset(path, prompt === undefined ? {} : { prompt })),
  );
  const items = sets.flat();
  const wrong = wanted === 'identity' ? [] : items.filter(({ kind }) => kind === 'photo');
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
