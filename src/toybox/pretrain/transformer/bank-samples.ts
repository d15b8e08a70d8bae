import type { Stage } from '../../universe/motions.ts';
import { createUniverse } from '../../universe/universe.ts';
import { SIDE } from '../configs.ts';
import { TEXT_TOKENS, t5TokenizerFiles, tokenizerOf } from '../tokenizers.ts';

/** What samples are rendered from; plain data, since it crosses to rendering threads. */
export interface BankSource {
  readonly seed: number;
  readonly stage: Stage;
  /** Pixel frames of each sample. */
  readonly frames: number;
  readonly cacheFolder: string;
  /** Of the VAE. */
  readonly spatialCompression: number;
  readonly temporalCompression: number;
}

/** Samples of a range of indices, as the encoder takes them. */
export interface RenderedSamples {
  /** [n, F, 64, 64, 3] */
  readonly pixels: Uint8Array;
  /** [n, S] */
  readonly tokens: Int16Array;
  /** The subject's mean alpha in each latent cell, [n, f, h, w]. */
  readonly mask: Uint8Array;
}

export type SampleRenderer = (first: number, count: number) => RenderedSamples;

export function sampleRenderer(source: BankSource): SampleRenderer {
  const universe = createUniverse({ ...source, split: 'pretraining' });
  const tokenizer = tokenizerOf(t5TokenizerFiles(), 'T5');
  const side = SIDE / source.spatialCompression;
  const latentFrames = 1 + (source.frames - 1) / source.temporalCompression;
  const clipBytes = source.frames * SIDE * SIDE * 3;
  const cells = latentFrames * side * side;
  return (first, count) => {
    const pixels = new Uint8Array(count * clipBytes);
    const tokens = new Int16Array(count * TEXT_TOKENS);
    const mask = new Uint8Array(count * cells);
    for (let i = 0; i < count; i++) {
      const clip = universe.render(first + i);
      pixels.set(clip.frames, i * clipBytes);
      const { ids } = tokenizer.encode(clip.caption, TEXT_TOKENS);
      tokens.set([...(ids.data as BigInt64Array)].map(Number), i * TEXT_TOKENS);
      mask.set(latentMask(clip.mask, source), i * cells);
    }
    return { pixels, tokens, mask };
  };
}

/** Alpha [F, 64, 64] → mean over each cell of the latents [f, h, w]; the first latent frame is one pixel frame. */
export function latentMask(
  mask: Uint8Array,
  { spatialCompression, temporalCompression }: Pick<BankSource, 'spatialCompression' | 'temporalCompression'>,
): Uint8Array {
  const frames = mask.length / (SIDE * SIDE);
  const side = SIDE / spatialCompression;
  const latentFrames = 1 + (frames - 1) / temporalCompression;
  const sums = new Float64Array(latentFrames * side * side);
  for (let frame = 0; frame < frames; frame++) {
    const cell = Math.ceil(frame / temporalCompression);
    const share = frame === 0 ? 1 : 1 / temporalCompression;
    for (let y = 0; y < SIDE; y++) {
      const row = (cell * side + Math.floor(y / spatialCompression)) * side;
      for (let x = 0; x < SIDE; x++) {
        sums[row + Math.floor(x / spatialCompression)] += share * mask[(frame * SIDE + y) * SIDE + x];
      }
    }
  }
  return Uint8Array.from(sums, (sum) => Math.round(sum / spatialCompression ** 2));
}
