import { drawTimestep, type NoiseSchedule } from '../../../diffusion/index.ts';
import type { Tensors } from '../../../runtime/index.ts';
import { floats, hostTensor } from '../../../tensor/host-tensor.ts';
import { type RandomStream, randomStream } from '../../../tensor/random.ts';
import { TEXT_TOKENS } from '../tokenizers.ts';
import type { LatentBank } from './bank.ts';
import type { TransformerVariant } from './variants.ts';

export interface LatentBatchOptions
  extends Pick<TransformerVariant, 'captionDropout' | 'noiseBias' | 'subjectWeight'> {
  readonly seed: number;
  readonly batch: number;
  /** Tokens of the empty prompt, [S]. */
  readonly emptyTokens: Int16Array;
  /** Tokens of each sample's latents that are trained on; default all. */
  readonly tokens?: number | undefined;
}

/**
 * Inputs of one step (see {@link transformerObjective}): a pure function of the seed and the step. With fewer
 * `tokens` than a sample has, some are chosen, with those where the subject is at any time far ahead.
 */
export function latentBatch(
  bank: LatentBank,
  schedule: NoiseSchedule,
  { seed, batch, emptyTokens, captionDropout, noiseBias, subjectWeight, tokens }: LatentBatchOptions,
  step: number,
): Tensors {
  const [frames, channels, rows, columns] = bank.shape;
  const cells = frames * rows * columns;
  const kept = Math.min(tokens ?? cells, cells);
  const stream = randomStream(seed, 'transformer', step);
  const whole = new Float32Array(cells * channels);
  const latents = new Float32Array(batch * kept * channels);
  const ids = new BigInt64Array(batch * TEXT_TOKENS);
  const positions = new BigInt64Array(batch * (TEXT_TOKENS + kept));
  const weight = new Float32Array(batch * kept);
  const [signal, sigma, timestep] = [0, 1, 2].map(() => new Float32Array(batch));
  for (let b = 0; b < batch; b++) {
    const index = stream.integer(bank.count);
    const mask = bank.mask(index);
    const words = stream.uniform() < captionDropout ? emptyTokens : bank.tokens(index);
    ids.set(Array.from(words, BigInt), b * TEXT_TOKENS);
    const t = drawTimestep(stream, schedule.alphasCumprod.length, noiseBias);
    const alpha = schedule.alphaCumprod(t);
    [signal[b], sigma[b], timestep[b]] = [Math.sqrt(alpha), Math.sqrt(1 - alpha), t];
    const weights = weight.subarray(b * kept, (b + 1) * kept);
    if (tokens === undefined) {
      bank.latents(index, latents, b * cells * channels);
      writeWeights(mask, subjectWeight, weights);
      continue;
    }
    bank.latents(index, whole, 0);
    const chosen = chooseTokens(mask, frames, kept, stream);
    gatherTokens(
      whole,
      chosen,
      rows * columns,
      latents.subarray(b * kept * channels, (b + 1) * kept * channels),
    );
    const places = positions.subarray(b * (TEXT_TOKENS + kept), (b + 1) * (TEXT_TOKENS + kept));
    for (let i = 0; i < TEXT_TOKENS; i++) places[i] = BigInt(i);
    for (let i = 0; i < kept; i++) places[TEXT_TOKENS + i] = BigInt(TEXT_TOKENS + chosen[i]);
    writeWeights(
      chosen.map((cell) => mask[cell]),
      subjectWeight,
      weights,
    );
  }
  const perSample = [batch, 1, 1, 1, 1];
  const [f, h, w] = tokens === undefined ? [frames, rows, columns] : [1, 1, kept];
  return {
    latents: floats([batch, f, channels, h, w], latents),
    noise: floats([batch, f, channels, h, w], stream.normals(latents.length)),
    signal: floats(perSample, signal),
    sigma: floats(perSample, sigma),
    timestep: floats([batch], timestep),
    ids: hostTensor('i64', [batch, TEXT_TOKENS], ids),
    weight: floats([batch, f, 1, h, w], weight),
    ...(tokens !== undefined && { positions: hostTensor('i64', [batch, TEXT_TOKENS + kept], positions) }),
  };
}

/** How much more likely a cell is to be chosen where the subject covers it in some frame. */
const SUBJECT_PREFERENCE = 15;

/**
 * Places of `count` cells [f, h, w], ascending, drawn without replacement in proportion to a preference (Efraimidis
 * and Spirakis 2006): the largest u^(1/p). A place that the subject leaves must be seen empty, so that the
 * preference is that of the place at any time.
 */
function chooseTokens(mask: Uint8Array, frames: number, count: number, stream: RandomStream): number[] {
  const plane = mask.length / frames;
  const covered = Array.from({ length: plane }, (_, cell) => {
    let most = 0;
    for (let at = cell; at < mask.length; at += plane) most = Math.max(most, mask[at]);
    return most / 255;
  });
  const keys = Array.from(
    mask,
    (_, cell) => Math.log(stream.uniform()) / (1 + SUBJECT_PREFERENCE * covered[cell % plane]),
  );
  const order = Array.from(mask.keys()).sort((a, b) => keys[b] - keys[a]);
  return order.slice(0, count).sort((a, b) => a - b);
}

/** Cells [f, h·w] of latents [f, C, h·w] as [C, K]. */
function gatherTokens(
  latents: Float32Array,
  chosen: readonly number[],
  plane: number,
  out: Float32Array,
): void {
  const channels = out.length / chosen.length;
  for (const [i, cell] of chosen.entries()) {
    const start = Math.floor(cell / plane) * channels * plane + (cell % plane);
    for (let c = 0; c < channels; c++) out[c * chosen.length + i] = latents[start + c * plane];
  }
}

/** 1 + (subjectWeight − 1)·alpha, divided by its mean over the sample. */
function writeWeights(mask: ArrayLike<number>, subjectWeight: number, out: Float32Array): void {
  let sum = 0;
  for (let i = 0; i < mask.length; i++) {
    out[i] = 1 + ((subjectWeight - 1) * mask[i]) / 255;
    sum += out[i];
  }
  for (let i = 0; i < out.length; i++) out[i] *= out.length / sum;
}
