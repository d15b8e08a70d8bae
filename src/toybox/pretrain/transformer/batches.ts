import type { NoiseSchedule } from '../../../diffusion/index.ts';
import type { Tensors } from '../../../runtime/index.ts';
import { floats, hostTensor } from '../../../tensor/host-tensor.ts';
import { randomStream } from '../../../tensor/random.ts';
import { sizeOf } from '../../../tensor/shape.ts';
import { TEXT_TOKENS } from '../tokenizers.ts';
import type { LatentBank } from './bank.ts';
import { drawTimestep } from './timesteps.ts';
import type { TransformerVariant } from './variants.ts';

export interface LatentBatchOptions
  extends Pick<TransformerVariant, 'captionDropout' | 'noiseBias' | 'subjectWeight'> {
  readonly seed: number;
  readonly batch: number;
  /** Tokens of the empty prompt, [S]. */
  readonly emptyTokens: Int16Array;
}

/** Inputs of one step (see {@link transformerObjective}): a pure function of the seed and the step. */
export function latentBatch(
  bank: LatentBank,
  schedule: NoiseSchedule,
  { seed, batch, emptyTokens, captionDropout, noiseBias, subjectWeight }: LatentBatchOptions,
  step: number,
): Tensors {
  const [frames, channels, rows, columns] = bank.shape;
  const size = sizeOf(bank.shape);
  const cells = size / channels;
  const stream = randomStream(seed, 'transformer', step);
  const latents = new Float32Array(batch * size);
  const ids = new BigInt64Array(batch * TEXT_TOKENS);
  const weight = new Float32Array(batch * cells);
  const [signal, sigma, timestep] = [0, 1, 2].map(() => new Float32Array(batch));
  for (let b = 0; b < batch; b++) {
    const index = stream.integer(bank.count);
    bank.latents(index, latents, b * size);
    const tokens = stream.uniform() < captionDropout ? emptyTokens : bank.tokens(index);
    ids.set(Array.from(tokens, BigInt), b * TEXT_TOKENS);
    const t = drawTimestep(stream, schedule.alphasCumprod.length, noiseBias);
    const alpha = schedule.alphaCumprod(t);
    [signal[b], sigma[b], timestep[b]] = [Math.sqrt(alpha), Math.sqrt(1 - alpha), t];
    writeWeights(bank.mask(index), subjectWeight, weight.subarray(b * cells, (b + 1) * cells));
  }
  const perSample = [batch, 1, 1, 1, 1];
  const shape = [batch, frames, channels, rows, columns];
  return {
    latents: floats(shape, latents),
    noise: floats(shape, stream.normals(batch * size)),
    signal: floats(perSample, signal),
    sigma: floats(perSample, sigma),
    timestep: floats([batch], timestep),
    ids: hostTensor('i64', [batch, TEXT_TOKENS], ids),
    weight: floats([batch, frames, 1, rows, columns], weight),
  };
}

/** 1 + (subjectWeight − 1)·alpha, divided by its mean over the sample. */
function writeWeights(mask: Uint8Array, subjectWeight: number, out: Float32Array): void {
  let sum = 0;
  for (let i = 0; i < mask.length; i++) {
    out[i] = 1 + ((subjectWeight - 1) * mask[i]) / 255;
    sum += out[i];
  }
  for (let i = 0; i < out.length; i++) out[i] *= out.length / sum;
}
