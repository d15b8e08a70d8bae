import { type LoadedMedia, type PreprocessRecipe, preprocess } from '../media/index.ts';
import type { Phase } from '../methods/index.ts';
import { type FeatureCache, featureKey } from '../store/feature-cache.ts';
import { asFloats, type FloatTensor, floats, type HostTensor } from '../tensor/host-tensor.ts';
import { randomStream } from '../tensor/random.ts';
import type { EncoderSource, ImageEncoder } from './encoders.ts';

/** How the frames of a condition are chosen and prepared. */
export type Condition = Pick<NonNullable<Phase['condition']>, 'frame' | 'pixels'>;

/**
 * Embeddings [K, E] of the frames that may serve as condition. With 'once' that is a single random frame,
 * so that only one is encoded; with 'per-step' all of them.
 */
export async function conditionFrames(
  source: Readonly<Record<string, unknown>>,
  index: number,
  { pixels: conditionPixels, frame: conditionFrame }: Condition,
  seed: number,
  encoders: EncoderSource,
  cache: FeatureCache,
  media: () => Promise<LoadedMedia>,
  notice: (message: string) => void,
): Promise<FloatTensor> {
  const choice = conditionFrame === 'once' ? { seed, index } : 'all';
  const encoder = encoders.fingerprints.image;
  const stored = await cache.getOrCompute(
    featureKey({ kind: 'condition', version: 1, encoder, conditionPixels, choice, ...source }),
    async () => {
      const { frames } = await media();
      const wanted =
        conditionFrame === 'once'
          ? [randomStream(seed, 'condition-frame-choice', index).integer(frames.shape[0])]
          : Array.from({ length: frames.shape[0] }, (_, frame) => frame);
      return new Map([
        ['embeddings', await embedFrames(await encoders.image(), frames, wanted, conditionPixels)],
      ]);
    },
    notice,
  );
  return asFloats(stored.get('embeddings')!);
}

const EMBED_BATCH = 8;

async function embedFrames(
  encoder: ImageEncoder,
  frames: HostTensor<'u8'>,
  wanted: readonly number[],
  pixels: Condition['pixels'],
): Promise<FloatTensor> {
  const recipe = trainingRecipe(encoder, pixels);
  const rows = new Float32Array(wanted.length * encoder.dim);
  for (let start = 0; start < wanted.length; start += EMBED_BATCH) {
    const batch = wanted.slice(start, start + EMBED_BATCH).map((frame) => frameOf(frames, frame));
    const stacked = batch.map((frame) => preprocess(frame, recipe));
    const [, channels, height, width] = stacked[0].shape;
    const data = new Float32Array(stacked.length * channels * height * width);
    for (const [i, tensor] of stacked.entries()) data.set(tensor.data, i * tensor.data.length);
    const embedded = await encoder.encode(floats([stacked.length, channels, height, width], data));
    rows.set(embedded.data, start * encoder.dim);
  }
  return floats([wanted.length, encoder.dim], rows);
}

/** 'symmetric': straight to the square and to [−1, 1], as the release trains; else as at inference. */
function trainingRecipe(encoder: ImageEncoder, pixels: Condition['pixels']): PreprocessRecipe {
  if (pixels === 'encoder') return encoder.recipe;
  return {
    ...encoder.recipe,
    shape: 'square',
    filter: 'bilinear',
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.5, 0.5],
  };
}

function frameOf(frames: HostTensor<'u8'>, index: number): HostTensor<'u8'> {
  const [, height, width, channels] = frames.shape;
  const length = height * width * channels;
  return {
    dtype: 'u8',
    shape: [height, width, channels],
    data: frames.data.slice(index * length, (index + 1) * length),
  };
}
