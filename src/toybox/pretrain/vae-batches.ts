import { type FloatTensor, floats } from '../../tensor/host-tensor.ts';
import { type RandomStream, randomStream } from '../../tensor/random.ts';
import { type Shape, sizeOf } from '../../tensor/shape.ts';
import { createUniverse, type RenderedClip, type Universe } from '../universe/universe.ts';
import { SIDE } from './configs.ts';
import { subjectSurroundings } from './moving-pixels.ts';
import type { Batcher, BatchRequest } from './task.ts';
import { vaeVariant } from './vae-configs.ts';

const AREA = SIDE * SIDE;

type Sample = Pick<RenderedClip, 'frames' | 'mask'>;

/** Clips and single pictures with the weights of their pixels and the noise of their latents. */
export function vaeBatcher({ seed, cacheFolder, variant, batch }: BatchRequest): Batcher {
  const { config, recipe, frames, clipSide, pictures, subjectWeight } = vaeVariant(variant);
  const clips = batch ?? recipe.batch;
  const settings = { seed, split: 'pretraining', stage: recipe.stage, cacheFolder } as const;
  const clipUniverse = createUniverse({ ...settings, frames });
  const pictureUniverse = createUniverse({ ...settings, frames: 1 });
  const part = (name: string, samples: readonly Sample[], side: number, stream: RandomStream) => {
    const frameCount = samples[0].mask.length / side ** 2;
    const latentSide = side / config.spatialCompression;
    const latentFrames = 1 + (frameCount - 1) / config.temporalCompression;
    const latents = [samples.length, latentFrames, config.latentChannels, latentSide, latentSide];
    return {
      [name]: videoTensor(
        samples.map((sample) => sample.frames),
        side,
      ),
      [`${name}Weight`]: weights(samples, side, subjectWeight),
      [`${name}Noise`]: normals(latents, stream),
    };
  };
  return (step) => {
    const rendered = (count: number, from: Universe) =>
      Array.from({ length: count }, (_, b) => from.render(step * count + b));
    const stream = randomStream(seed, 'noise', step);
    const whole = rendered(clips, clipUniverse);
    const cut = clipSide === SIDE ? whole : whole.map((clip) => croppedClip(clip, clipSide, stream));
    return {
      ...part('clip', cut, clipSide, stream),
      ...part('picture', rendered(pictures, pictureUniverse), SIDE, stream),
    };
  };
}

/** A square around a random point of the subject, kept inside the picture. */
function croppedClip({ frames, mask }: Sample, side: number, stream: RandomStream): Sample {
  const inside = [...mask.keys()].filter((pixel) => mask[pixel] > 127);
  const pixel = (inside.length > 0 ? stream.pick(inside) : stream.integer(AREA)) % AREA;
  const place = (middle: number) => {
    const wanted = middle - stream.integer(side);
    return Math.min(Math.max(wanted, 0), SIDE - side);
  };
  const [left, top] = [place(pixel % SIDE), place(Math.floor(pixel / SIDE))];
  const count = mask.length / AREA;
  const cut = { frames: new Uint8Array(count * side * side * 3), mask: new Uint8Array(count * side * side) };
  for (let row = 0; row < count * side; row++) {
    const from = (Math.floor(row / side) * SIDE + top + (row % side)) * SIDE + left;
    cut.frames.set(frames.subarray(from * 3, (from + side) * 3), row * side * 3);
    cut.mask.set(mask.subarray(from, from + side), row * side);
  }
  return cut;
}

function normals(shape: Shape, stream: RandomStream): FloatTensor {
  return floats(shape, stream.normals(sizeOf(shape)));
}

/** Clips [F, side, side, 3] of bytes → [B, F, 3, side, side] in [−1, 1]. */
export function videoTensor(clips: readonly Uint8Array[], side = SIDE): FloatTensor {
  const area = side * side;
  const frameCount = clips[0].length / (area * 3);
  const data = new Float32Array(clips.length * clips[0].length);
  let to = 0;
  for (const clip of clips) {
    for (let frame = 0; frame < frameCount; frame++) {
      for (let c = 0; c < 3; c++) {
        for (let i = 0; i < area; i++) data[to++] = clip[(frame * area + i) * 3 + c] / 127.5 - 1;
      }
    }
  }
  return floats([clips.length, frameCount, 3, side, side], data);
}

/** [B, F, 1, side, side] with mean 1 over each sample. */
function weights(samples: readonly Sample[], side: number, subjectWeight: number): FloatTensor {
  const pixels = samples[0].mask.length;
  const data = new Float32Array(samples.length * pixels);
  for (const [b, { mask }] of samples.entries()) {
    const inside = subjectSurroundings(mask, side * side);
    const covered = inside.reduce((sum, value) => sum + value, 0) / pixels;
    const base = 1 / (1 + (subjectWeight - 1) * covered);
    for (let i = 0; i < pixels; i++) data[b * pixels + i] = inside[i] === 1 ? base * subjectWeight : base;
  }
  return floats([samples.length, pixels / side ** 2, 1, side, side], data);
}
