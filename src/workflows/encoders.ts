import type { PreprocessRecipe } from '../media/index.ts';
import type { FloatTensor } from '../tensor/host-tensor.ts';
import type { Posterior } from './features.ts';

/** The encoders of a base, as workflows use them; each is opened when needed and released afterwards. */
export interface TextEncoder {
  /** Tells one encoder's features from another's in the cache. */
  readonly fingerprint: string;
  /** Text embeddings [S, E] of one prompt, and what was changed to fit it, in words. */
  encode(prompt: string): Promise<{ readonly embedding: FloatTensor; readonly notes: readonly string[] }>;
  release(): Promise<void>;
}

export interface ImageEncoder {
  readonly fingerprint: string;
  /** Side of the square images it takes. */
  readonly side: number;
  /** Width E of its embeddings. */
  readonly dim: number;
  /** How it wants an image prepared at inference. */
  readonly recipe: PreprocessRecipe;
  /** Pixels [B, 3, side, side], prepared → embeddings [B, E], not normalised. */
  encode(pixels: FloatTensor): Promise<FloatTensor>;
  release(): Promise<void>;
}

export interface VideoEncoder {
  readonly fingerprint: string;
  /** Frames [F, 3, H, W] in [−1, 1] → posterior with [f, C, h, w]. */
  encode(frames: FloatTensor, onProgress: (done: number, total: number) => void): Promise<Posterior>;
  release(): Promise<void>;
}
