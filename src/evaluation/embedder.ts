import { preprocess } from '../media/preprocess.ts';
import type { ContrastiveTextEncoder } from '../models/contrastive-text-encoder.ts';
import type { ImageEncoder } from '../models/image-encoder.ts';
import type { Embeddings } from './embeddings.ts';
import type { Frames } from './frames.ts';
import type { EncoderIdentity } from './metric.ts';

/** Pictures to embeddings. */
export interface ImageEmbedder {
  readonly identity: EncoderIdentity;
  images(frames: Frames, signal?: AbortSignal): Promise<Embeddings>;
  release(): Promise<void>;
}

/** Pictures and texts to embeddings in one space. */
export interface ContrastiveEmbedder extends ImageEmbedder {
  /** One row for each text, and of each what did not fit the encoder ('' where all did). */
  texts(lines: readonly string[], signal?: AbortSignal): Promise<Embeddings & { cut: readonly string[] }>;
}

/** Frames go through the encoder's own preprocessing first. */
export function imageEmbedder(encoder: ImageEncoder, identity: EncoderIdentity): ImageEmbedder {
  return {
    identity,
    images: async (frames, signal) => ({
      vectors: await encoder.encode(preprocess(frames, encoder.preprocessing), { signal }),
      encoder: identity,
    }),
    release: () => encoder.release(),
  };
}

export function contrastiveEmbedder(
  images: ImageEncoder,
  texts: ContrastiveTextEncoder,
  identity: EncoderIdentity,
): ContrastiveEmbedder {
  const embedder = imageEmbedder(images, identity);
  return {
    ...embedder,
    texts: async (lines, signal) => {
      const { embeddings, tokenized } = await texts.encode(lines, { signal });
      return {
        vectors: embeddings,
        encoder: identity,
        cut: tokenized.map(({ cut }) => cut?.text ?? ''),
      };
    },
    release: async () => {
      await embedder.release();
      await texts.release();
    },
  };
}
