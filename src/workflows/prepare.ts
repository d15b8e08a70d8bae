import { basename } from 'node:path';
import {
  decodePhoto,
  type FitMode,
  type FrameRate,
  fitFrames,
  type LoadedMedia,
  loadMedia,
  MediaError,
  preprocess,
  type Size,
  toModelRange,
} from '../media/index.ts';
import type { Phase } from '../methods/index.ts';
import type { DatasetItem } from '../store/dataset.ts';
import { type FeatureCache, featureKey, hashFile } from '../store/feature-cache.ts';
import { DualrealError, throwIfCancelled } from '../tensor/errors.ts';
import { asFloats, type FloatTensor, type HostTensor, reshaped } from '../tensor/host-tensor.ts';
import { sameShape } from '../tensor/shape.ts';
import { type Condition, conditionFrames } from './condition-frames.ts';
import { encodeText } from './encode-text.ts';
import type { EncoderSource } from './encoders.ts';
import type { ItemFeatures, Posterior } from './features.ts';
import { subjectMaskOf, withWholeMasks } from './subject-mask.ts';
import { markSubject } from './subject-word.ts';
import { secondsLeft, type WorkflowContext, type WorkflowEvent } from './workflow.ts';

/** The shape in which photos and clips enter the model. */
export interface SampleShape {
  readonly size: Size;
  readonly frames: number;
  readonly fps: FrameRate;
  readonly fit: FitMode;
  readonly temporalRatio: number;
}

export interface PrepareRequest {
  readonly items: readonly DatasetItem[];
  readonly data: Phase['data'];
  readonly sample: SampleShape;
  /** How the frames of a condition are chosen and prepared; absent: no image is embedded. */
  readonly condition?: Condition | undefined;
  /** Whether photos are looked at for the subject's mask. */
  readonly masks: boolean;
  /** Marks this word in every caption. */
  readonly subjectWord?: string | undefined;
  readonly seed: number;
  readonly skipBadFiles: boolean;
}

const STAGES: Readonly<Record<Phase['data'], string>> = {
  identity: 'encoding photos',
  motion: 'encoding clips',
  generic: 'encoding generic clips',
};

type Events = AsyncGenerator<WorkflowEvent, readonly ItemFeatures[]>;

/**
 * Decodes and encodes every photo or clip once, through the content-hashed cache: VAE posterior, caption
 * embedding and, as the method asks, image embeddings of the condition frames, subject masks and words.
 */
export async function* prepareFeatures(
  request: PrepareRequest,
  encoders: EncoderSource,
  cache: FeatureCache,
  context: WorkflowContext,
): Events {
  const { items, data, sample } = request;
  const stage = STAGES[data];
  const started = context.clock();
  const features: ItemFeatures[] = [];
  const masked: string[] = [];
  const notices: string[] = [];
  for (const [index, item] of items.entries()) {
    throwIfCancelled(context.signal, stage);
    try {
      const prepared = await prepareItem(item, index, request, encoders, cache, notices);
      features.push(prepared.features);
      if (prepared.maskSource) masked.push(`${basename(item.path)} (${prepared.maskSource})`);
    } catch (error) {
      if (!(error instanceof MediaError) || !request.skipBadFiles) throw error;
      yield { type: 'notice', message: `left out ${item.path}: ${error.message}` };
    }
    for (const message of notices.splice(0)) yield { type: 'notice', message };
    const left = secondsLeft(started, context.clock(), index + 1, items.length);
    yield {
      type: 'progress',
      stage,
      done: index + 1,
      total: items.length,
      ...(left !== undefined && { secondsLeft: left }),
    };
  }
  if (request.masks) yield { type: 'notice', message: masksInWords(masked, features.length) };
  const { long, short } = byLength(request.masks ? withWholeMasks(features) : features);
  if (long.length === 0) {
    throw new DualrealError({ where: 'training data', expected: 'at least one usable file', got: 'none' });
  }
  if (short.length === 0) return long;
  const unequal = unequalLengths(long, short, sample);
  if (!request.skipBadFiles) throw unequal;
  yield { type: 'notice', message: `left out ${unequal.message}` };
  return long;
}

async function prepareItem(
  item: DatasetItem,
  index: number,
  request: PrepareRequest,
  encoders: EncoderSource,
  cache: FeatureCache,
  notices: string[],
): Promise<{ readonly features: ItemFeatures; readonly maskSource?: string }> {
  const { data, sample, condition, masks, subjectWord } = request;
  const file = await hashFile(item.path);
  const notice = (message: string) => notices.push(`${item.path}: ${message}`);
  let loaded: LoadedMedia | undefined;
  const media = async (): Promise<LoadedMedia> => {
    loaded ??= await loadFitted(item, request);
    return loaded;
  };
  const source = { file, sample: { ...sample }, dimension: data === 'identity' ? 'identity' : 'motion' };
  const posterior = await cache.getOrCompute(
    featureKey({ kind: 'posterior', version: 1, encoder: encoders.fingerprints.video, ...source }),
    async (note) => {
      const { frames, notes } = await media();
      for (const each of notes) note(each);
      return posteriorTensors(await (await encoders.video()).encode(toModelRange(frames)));
    },
    notice,
  );
  const text = await encodeText(item.caption, encoders, cache, notice);
  const [, , height, width] = posterior.get('mean')!.shape;
  const mask = masks ? await subjectMaskOf(item, sample, { height, width }) : undefined;
  const features: ItemFeatures = {
    path: item.path,
    posterior: posteriorOf(posterior),
    text,
    ...(condition && {
      conditions: await conditionFrames(
        source,
        index,
        condition,
        request.seed,
        encoders,
        cache,
        media,
        notice,
      ),
    }),
    ...(mask && { mask: mask.mask }),
    ...(subjectWord !== undefined && {
      subjectTokens: await markSubject(item.caption, subjectWord, encoders, `caption of ${item.path}`),
    }),
  };
  return {
    features,
    ...(mask && { maskSource: mask.source === 'file' ? 'its mask file' : 'its transparency' }),
  };
}

/** Where each photo's region comes from, so that nobody has to guess. */
function masksInWords(masked: readonly string[], photos: number): string {
  if (masked.length === 0) {
    return 'no photo has a subject mask (NAME.mask.png beside it, or transparency): the loss is over whole pictures, and those on the subject’s region are left out';
  }
  const rest = photos - masked.length;
  const others = rest > 0 ? `; the whole picture counts as the subject in the other ${rest}` : '';
  return `subject masks of ${masked.join(', ')}${others}`;
}

async function loadFitted(item: DatasetItem, { data, sample }: PrepareRequest): Promise<LoadedMedia> {
  const photo = data === 'identity';
  const loaded = await loadMedia(item.path, {
    size: sample.size,
    fit: sample.fit,
    selection: {
      maxFrames: photo ? 1 : sample.frames,
      fps: photo ? 'native' : sample.fps,
      temporalRatio: sample.temporalRatio,
    },
  });
  if (!photo && loaded.frames.shape[0] < 2) {
    throw new MediaError({
      where: item.path,
      expected: `a clip of at least ${sample.temporalRatio + 1} frames`,
      got: `${loaded.frames.shape[0]}`,
      hint: 'motion is learnt from clips; photos belong to the subject',
    });
  }
  const { width, height } = sample.size;
  const fits = sameShape(loaded.frames.shape.slice(1), [height, width, 3]);
  return fits ? loaded : { ...loaded, frames: fitFrames(loaded.frames, sample.size, sample.fit) };
}

function posteriorTensors({ mean, logVariance }: Posterior): Map<string, HostTensor> {
  return new Map([
    ['mean', mean],
    ['log_variance', logVariance],
  ]);
}

function posteriorOf(tensors: ReadonlyMap<string, HostTensor>): Posterior {
  return { mean: asFloats(tensors.get('mean')!), logVariance: asFloats(tensors.get('log_variance')!) };
}

/** Those of the greatest length, and the shorter ones: a batch mixes clips, so all must be as long. */
function byLength(features: readonly ItemFeatures[]): {
  readonly long: readonly ItemFeatures[];
  readonly short: readonly ItemFeatures[];
} {
  const longest = Math.max(...features.map(latentFrames));
  return {
    long: features.filter((item) => latentFrames(item) === longest),
    short: features.filter((item) => latentFrames(item) < longest),
  };
}

const latentFrames = ({ posterior }: ItemFeatures): number => posterior.mean.shape[0];

function unequalLengths(
  [long]: readonly ItemFeatures[],
  short: readonly ItemFeatures[],
  { temporalRatio }: SampleShape,
): MediaError {
  const pixelFrames = (latents: number) => (latents - 1) * temporalRatio + 1;
  const shortest = pixelFrames(Math.min(...short.map(latentFrames)));
  return new MediaError({
    where: short.map(({ path }) => path).join(', '),
    expected: `clips as long as the others (${pixelFrames(latentFrames(long))} frames)`,
    got: `${shortest} frames`,
    hint: `use --frames ${shortest}, or leave the short clips out (--skip-bad-files does)`,
  });
}

/** File in a run folder that keeps a photo of the subject as the default reference. */
export const REFERENCE_FILE = 'reference.png';

/** The embedding [1, 1, E] of a reference image, prepared as at inference, through the cache. */
export async function encodeReferenceFile(
  path: string,
  encoders: EncoderSource,
  cache: FeatureCache,
  notice: (message: string) => void,
): Promise<FloatTensor> {
  const key = featureKey({
    kind: 'reference',
    version: 1,
    encoder: encoders.fingerprints.image,
    file: await hashFile(path),
  });
  const stored = await cache.getOrCompute(
    key,
    async () => {
      const { image } = await decodePhoto(path);
      const encoder = await encoders.image();
      const embedded = await encoder.encode(preprocess(image, encoder.recipe));
      return new Map([['embedding', reshaped(embedded, [1, 1, encoder.dim])]]);
    },
    notice,
  );
  return asFloats(stored.get('embedding')!);
}
