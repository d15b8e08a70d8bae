import type { Runtime } from '../../../runtime/index.ts';
import { floats } from '../../../tensor/host-tensor.ts';
import { randomStream } from '../../../tensor/random.ts';
import { sizeOf } from '../../../tensor/shape.ts';
import { SIDE } from '../configs.ts';
import { latentMask } from './bank-samples.ts';
import type { BaseParts } from './base-parts.ts';
import { openLatentDecoder, openLatentEncoder } from './latent-encoder.ts';

/** A clip [F, 64, 64, 3] with the subject's alpha [F, 64, 64]. */
export interface MaskedClip {
  readonly frames: Uint8Array;
  readonly mask: Uint8Array;
}

/** Takes clips through the base's codec with noise in the latents where the subject is. */
export interface Scrambler {
  scramble(clips: readonly MaskedClip[], first: number): Promise<Uint8Array[]>;
  release(): Promise<void>;
}

/** One lesson of this many is also given scrambled. */
export const SCRAMBLED_EVERY = 2;

const BATCH = 10;
/** The noise's standard deviation is drawn for each clip from 0 to this; latents have about 1. */
const MOST_NOISE = 1;
/** Mean alpha of a cell, of 255, from which on it is the subject's. */
const LEAST_ALPHA = 16;
const SEED = 9;

/**
 * What a judge of motion is taught besides clean clips: the same movements performed by subjects of broken texture,
 * as a half-trained model draws them. A classifier of clean clips alone takes texture that changes from frame to frame
 * for a motion. A pure function of the clips and their number: nothing of the judged model is in it.
 */
export async function openScrambler(
  runtime: Runtime,
  { vae, vaeWeights }: Pick<BaseParts, 'vae' | 'vaeWeights'>,
  frames: number,
): Promise<Scrambler> {
  const side = SIDE / vae.spatialCompression;
  const latentFrames = 1 + (frames - 1) / vae.temporalCompression;
  const shape = [latentFrames, vae.latentChannels, side, side];
  const [size, plane] = [sizeOf(shape), side * side];
  const encoder = await openLatentEncoder(runtime, vae, vaeWeights, { batch: BATCH, frames });
  const decoder = await openLatentDecoder(runtime, vae, vaeWeights, { batch: BATCH, latentFrames });

  const addNoise = (latents: Float32Array, mask: Uint8Array, index: number): void => {
    const cells = latentMask(mask, vae);
    const stream = randomStream(SEED, 'scrambled', index);
    const deviation = MOST_NOISE * stream.uniform();
    const noise = stream.normals(size);
    for (let i = 0; i < size; i++) {
      const frame = Math.floor(i / (vae.latentChannels * plane));
      if (cells[frame * plane + (i % plane)] >= LEAST_ALPHA) latents[i] += deviation * noise[i];
    }
  };

  return {
    async scramble(clips, first) {
      const scrambled: Uint8Array[] = [];
      for (let from = 0; from < clips.length; from += BATCH) {
        const piece = clips.slice(from, from + BATCH);
        const means = await encoder.run(new Uint8Array(Buffer.concat(piece.map((clip) => clip.frames))));
        const latents = means.map((value) => value * vae.scalingFactor);
        for (const [i, { mask }] of piece.entries()) {
          addNoise(latents.subarray(i * size, (i + 1) * size), mask, first + from + i);
        }
        scrambled.push(...(await decoder.run(floats([piece.length, ...shape], latents))));
      }
      return scrambled;
    },
    async release() {
      await encoder.release();
      await decoder.release();
    },
  };
}
