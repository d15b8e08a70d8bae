import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VaeCodec, type VaeConfig, vaeParameters } from '../../../models/cogvideox/vae/index.ts';
import { Parameters } from '../../../nn/parameters.ts';
import { createRuntime } from '../../../runtime/index.ts';
import { floats, type HostTensor } from '../../../tensor/host-tensor.ts';
import { randomStream } from '../../../tensor/random.ts';
import { sizeOf } from '../../../tensor/shape.ts';
import { SIDE } from '../configs.ts';
import { videoTensor } from '../vae-batches.ts';
import { bytesOfVideo } from '../vae-quality.ts';
import { latentMask } from './bank-samples.ts';
import { openLatentDecoder, openLatentEncoder } from './latent-encoder.ts';
import { trainMotionClassifier } from './motion-classifier.ts';
import { motionFeatureCount, motionFeatures } from './motion-features.ts';
import { drawTimestep } from './timesteps.ts';
import { kindOfStep, transformerVariant } from './variants.ts';

const runtime = createRuntime({ inline: true, threads: 1 });
afterAll(() => runtime.close());

describe('latents in batches', () => {
  const config: VaeConfig = {
    pixelChannels: 3,
    outChannels: 3,
    channels: [4, 4, 4, 4],
    latentChannels: 2,
    layersPerBlock: 1,
    normGroups: 2,
    normEpsilon: 1e-6,
    temporalCompression: 4,
    spatialCompression: 8,
    sampleHeight: SIDE,
    sampleWidth: SIDE,
    scalingFactor: 0.5,
  };
  const weights = new Map<string, HostTensor>();
  const clips = [0, 1].map((k) => {
    const stream = randomStream(1, 'clip', k);
    return Uint8Array.from({ length: 9 * SIDE * SIDE * 3 }, () => stream.integer(256));
  });
  let codec: VaeCodec;
  beforeAll(() => {
    const parameters = new Parameters();
    vaeParameters(config, parameters.root);
    for (const [name, { shape }] of parameters.declared) {
      const values = randomStream(2, name).normals(sizeOf(shape));
      weights.set(
        name,
        floats(
          shape,
          values.map((value) => value * 0.3),
        ),
      );
    }
    codec = new VaeCodec(runtime, config, weights);
  });
  afterAll(() => codec.release());

  it('are the means and pictures that the codec gives one by one', async () => {
    const encoder = await openLatentEncoder(runtime, config, weights, { batch: 3, frames: 9 });
    const joined = new Uint8Array(clips[0].length * 2);
    joined.set(clips[0]);
    joined.set(clips[1], clips[0].length);
    const found = await encoder.run(joined);
    const size = found.length / 2;
    const decoder = await openLatentDecoder(runtime, config, weights, { batch: 3, latentFrames: 3 });
    const shape = [2, 3, 2, 8, 8];
    const scaled = floats(
      shape,
      found.map((value) => value * 0.5),
    );
    const pictures = await decoder.run(scaled);
    expect(pictures).toHaveLength(2);
    for (const [k, clip] of clips.entries()) {
      const { mean } = await codec.encode(videoTensor([clip]));
      for (let i = 0; i < size; i++) expect(found[k * size + i]).toBeCloseTo(mean.data[i], 4);
      const video = bytesOfVideo((await codec.decode(mean)).data);
      const apart = pictures[k].filter((value, i) => Math.abs(value - video[i]) > 1);
      expect(apart).toHaveLength(0);
    }
    await encoder.release();
    await decoder.release();
  });
});

describe('masks of latent cells', () => {
  it('average the pixel frames and pixels of a cell, and keep the first frame to itself', () => {
    const mask = new Uint8Array(9 * SIDE * SIDE);
    // A whole cell in frame 0; half a cell in two of the four frames of the last latent frame.
    for (let y = 0; y < 8; y++) mask.fill(255, y * SIDE + 8, y * SIDE + 16);
    for (const frame of [5, 8]) {
      for (let y = 56; y < 60; y++) mask.fill(255, (frame * SIDE + y) * SIDE, (frame * SIDE + y) * SIDE + 8);
    }
    const cells = latentMask(mask, { spatialCompression: 8, temporalCompression: 4 });
    expect(cells).toHaveLength(3 * 64);
    expect(cells[1]).toBe(255);
    expect(cells[2 * 64 + 56]).toBe(64);
    expect(cells.reduce((sum, value) => sum + value, 0)).toBe(255 + 64);
  });
});

describe('timesteps', () => {
  it.each([
    [0, 0.5],
    [0.5, 1 - 0.5 ** 1.5],
    [1, 0.75],
  ])('with bias %d come from the noisier half with a share of %d', (bias, share) => {
    const stream = randomStream(1, 'timesteps', bias);
    const drawn = Array.from({ length: 20_000 }, () => drawTimestep(stream, 1000, bias));
    expect(drawn.filter((t) => t >= 500).length / drawn.length).toBeCloseTo(share, 1);
    expect(drawn.every((t) => Number.isInteger(t) && t >= 0 && t < 1000)).toBe(true);
  });
});

describe('the plan of steps', () => {
  it('is images, then three steps on clips for one on images', () => {
    const variant = { ...transformerVariant('shipped'), imageSteps: 3 };
    const kinds = Array.from({ length: 12 }, (_, step) => kindOfStep(variant, step)[0]).join('');
    expect(kinds).toBe('iiiciccciccc');
  });
});

describe('the motion classifier', () => {
  it('tells clips apart by the way a square moves', async () => {
    const clipOf = (i: number) => {
      const stream = randomStream(5, 'square', i);
      const [x, y, back] = [stream.integer(20), stream.integer(50), stream.integer(30)];
      const clip = new Uint8Array(9 * SIDE * SIDE * 3).fill(60 + back);
      for (let frame = 0; frame < 9; frame++) {
        const shift = i % 2 === 0 ? frame * 4 : (8 - frame) * 4;
        for (let row = 0; row < 10; row++) {
          const start = ((frame * SIDE + y + row) * SIDE + x + shift) * 3;
          clip.fill(220, start, start + 30);
        }
      }
      return motionFeatures(clip, new Float32Array(9 * 128).fill(0.1));
    };
    const all = Array.from({ length: 160 }, (_, i) => clipOf(i));
    expect(all[0]).toHaveLength(motionFeatureCount(9));
    const known = all.slice(0, 120);
    const classify = await trainMotionClassifier(
      runtime,
      known,
      known.map((_, i) => i % 2),
      2,
    );
    const found = await classify(all.slice(120));
    expect(found.filter((at, i) => at === i % 2).length).toBeGreaterThan(36);
  });
});
