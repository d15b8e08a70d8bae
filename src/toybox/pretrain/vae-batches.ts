import { type FloatTensor, floats } from '../../tensor/host-tensor.ts';
import { type RandomStream, randomStream } from '../../tensor/random.ts';
import { type Shape, sizeOf } from '../../tensor/shape.ts';
import { createUniverse, type RenderedClip } from '../universe/universe.ts';
import { SIDE } from './configs.ts';
import { subjectSurroundings } from './moving-pixels.ts';
import type { Batcher, BatchRequest } from './task.ts';
import { vaeVariant } from './vae-configs.ts';

const AREA = SIDE * SIDE;

/** Clips and single pictures with the weights of their pixels and the noise of their latents. */
export function vaeBatcher({ seed, cacheFolder, variant, batch }: BatchRequest): Batcher {
  const { config, recipe, frames, pictures, subjectWeight } = vaeVariant(variant);
  const clips = batch ?? recipe.batch;
  const settings = { seed, split: 'pretraining', stage: recipe.stage, cacheFolder } as const;
  const clipUniverse = createUniverse({ ...settings, frames });
  const pictureUniverse = createUniverse({ ...settings, frames: 1 });
  const latentSide = SIDE / config.spatialCompression;
  const part = (name: string, samples: readonly RenderedClip[], stream: RandomStream) => {
    const frameCount = samples[0].mask.length / AREA;
    const latentFrames = 1 + (frameCount - 1) / config.temporalCompression;
    const latents = [samples.length, latentFrames, config.latentChannels, latentSide, latentSide];
    return {
      [name]: videoTensor(samples.map((sample) => sample.frames)),
      [`${name}Weight`]: weights(samples, subjectWeight),
      [`${name}Noise`]: normals(latents, stream),
    };
  };
  return (step) => {
    const rendered = (count: number, from: typeof clipUniverse) =>
      Array.from({ length: count }, (_, b) => from.render(step * count + b));
    const stream = randomStream(seed, 'noise', step);
    return {
      ...part('clip', rendered(clips, clipUniverse), stream),
      ...part('picture', rendered(pictures, pictureUniverse), stream),
    };
  };
}

function normals(shape: Shape, stream: RandomStream): FloatTensor {
  return floats(shape, stream.normals(sizeOf(shape)));
}

/** Clips [F, 64, 64, 3] of bytes → [B, F, 3, 64, 64] in [−1, 1]. */
export function videoTensor(clips: readonly Uint8Array[]): FloatTensor {
  const frameCount = clips[0].length / (AREA * 3);
  const data = new Float32Array(clips.length * clips[0].length);
  let to = 0;
  for (const clip of clips) {
    for (let frame = 0; frame < frameCount; frame++) {
      for (let c = 0; c < 3; c++) {
        for (let i = 0; i < AREA; i++) data[to++] = clip[(frame * AREA + i) * 3 + c] / 127.5 - 1;
      }
    }
  }
  return floats([clips.length, frameCount, 3, SIDE, SIDE], data);
}

/** [B, F, 1, 64, 64] with mean 1 over each sample. */
function weights(samples: readonly RenderedClip[], subjectWeight: number): FloatTensor {
  const pixels = samples[0].mask.length;
  const data = new Float32Array(samples.length * pixels);
  for (const [b, { mask }] of samples.entries()) {
    const inside = subjectSurroundings(mask);
    const covered = inside.reduce((sum, value) => sum + value, 0) / pixels;
    const base = 1 / (1 + (subjectWeight - 1) * covered);
    for (let i = 0; i < pixels; i++) data[b * pixels + i] = inside[i] === 1 ? base * subjectWeight : base;
  }
  return floats([samples.length, pixels / AREA, 1, SIDE, SIDE], data);
}
