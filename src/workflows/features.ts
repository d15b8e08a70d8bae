import { type FloatTensor, floats } from '../tensor/host-tensor.ts';
import { randomStream } from '../tensor/random.ts';
import { sizeOf } from '../tensor/shape.ts';

/** The VAE's posterior of a photo or clip, as cached: mean and log-variance, each [f, C, h, w]. */
export interface Posterior {
  readonly mean: FloatTensor;
  readonly logVariance: FloatTensor;
}

/** One photo or clip with everything training needs of it. */
export interface ItemFeatures {
  readonly path: string;
  readonly posterior: Posterior;
  /** Text embedding of its caption [S, E]. */
  readonly text: FloatTensor;
  /** Image embeddings of candidate condition frames [K, E], where the method has a condition. */
  readonly conditions?: FloatTensor;
  /** Ones on the latent grid where the subject is [f, 1, h, w], where some photo has a mask. */
  readonly mask?: FloatTensor;
  /** Ones at the caption's tokens that name the subject [S], where the method looks for them. */
  readonly subjectTokens?: FloatTensor;
}

/** A batch's latents drawn from the posteriors and scaled for the transformer: [B, f, C, h, w]. */
export function sampleLatents(
  items: readonly ItemFeatures[],
  scalingFactor: number,
  seed: number,
  step: number,
): FloatTensor {
  const { shape } = items[0].posterior.mean;
  const length = sizeOf(shape);
  const out = new Float32Array(items.length * length);
  const noise = randomStream(seed, 'posterior', step).normals(out.length);
  for (const [b, { posterior }] of items.entries()) {
    const { mean, logVariance } = posterior;
    for (let i = 0; i < length; i++) {
      const deviation = Math.exp(0.5 * logVariance.data[i]);
      out[b * length + i] = (mean.data[i] + deviation * noise[b * length + i]) * scalingFactor;
    }
  }
  return floats([items.length, ...shape], out);
}

/** Rows of equal shape stacked along a new first axis. */
export function stack(tensors: readonly FloatTensor[]): FloatTensor {
  const { shape } = tensors[0];
  const length = sizeOf(shape);
  const out = new Float32Array(tensors.length * length);
  for (const [i, tensor] of tensors.entries()) out.set(tensor.data, i * length);
  return floats([tensors.length, ...shape], out);
}

/** Row `index` of a matrix [K, E] → [E]. */
export function rowOf(matrix: FloatTensor, index: number): FloatTensor {
  const width = matrix.shape[1];
  return floats([width], matrix.data.slice(index * width, (index + 1) * width));
}
