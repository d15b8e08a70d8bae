import type { PreprocessRecipe } from '../media/index.ts';
import type { FloatTensor } from '../tensor/host-tensor.ts';
import type { Posterior } from './features.ts';

/** The encoders of a base, as workflows use them; each is opened when needed and released afterwards. */
export interface TextEncoder {
  /** Text embeddings [S, E] of one prompt, and what was changed to fit it, in words. */
  encode(prompt: string): Promise<{ readonly embedding: FloatTensor; readonly notes: readonly string[] }>;
}

export interface ImageEncoder {
  /** Width E of its embeddings. */
  readonly dim: number;
  /** How it wants an image prepared at inference. */
  readonly recipe: PreprocessRecipe;
  /** Pixels [B, 3, side, side], prepared → embeddings [B, E], not normalised. */
  encode(pixels: FloatTensor): Promise<FloatTensor>;
}

export interface VideoEncoder {
  /** Frames [F, 3, H, W] in [−1, 1] → posterior with [f, C, h, w]. */
  encode(frames: FloatTensor): Promise<Posterior>;
}

/** Opens encoders on first use, so that a full cache needs none. */
export interface EncoderSource {
  text(): Promise<TextEncoder>;
  /** Ids of a text as the encoder sees it [S], and those of its words alone. Needs no weights. */
  tokenize(text: string): Promise<{ readonly ids: readonly number[]; readonly words: readonly number[] }>;
  image(): Promise<ImageEncoder>;
  video(): Promise<VideoEncoder>;
  /** Tell one encoder's features from another's in the cache. */
  readonly fingerprints: { readonly text: string; readonly image: string; readonly video: string };
  release(): Promise<void>;
}
