import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as g from '../../../graph/index.ts';
import type { TransformerConfig } from '../../../models/cogvideox/transformer/index.ts';
import { VaeCodec, type VaeConfig, vaeParameters } from '../../../models/cogvideox/vae/index.ts';
import { t5Encoder } from '../../../models/t5/index.ts';
import { Parameters } from '../../../nn/parameters.ts';
import { createRuntime, type Tensors } from '../../../runtime/index.ts';
import { floats, type HostTensor } from '../../../tensor/host-tensor.ts';
import { randomStream } from '../../../tensor/random.ts';
import { sizeOf } from '../../../tensor/shape.ts';
import { SIDE, textConfig } from '../configs.ts';
import { TEXT_TOKENS } from '../tokenizers.ts';
import { videoTensor } from '../vae-batches.ts';
import { bytesOfVideo } from '../vae-quality.ts';
import type { LatentBank } from './bank.ts';
import { latentMask } from './bank-samples.ts';
import { transformerSchedule } from './base-parts.ts';
import { latentBatch } from './batches.ts';
import { openLatentDecoder, openLatentEncoder } from './latent-encoder.ts';
import { trainMotionClassifier } from './motion-classifier.ts';
import { motionFeatureCount, motionFeatures } from './motion-features.ts';
import { transformerObjective } from './objective.ts';
import { PRESENCE_SIDE } from './subject-finder.ts';
import { batchOfStep, kindOfStep, transformerConfig, transformerVariant } from './variants.ts';

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

describe('the plan of steps', () => {
  it('is images, then three steps on clips for one on images', () => {
    const variant = { ...transformerVariant('shipped'), imageSteps: 3 };
    const kinds = Array.from({ length: 12 }, (_, step) => kindOfStep(variant, step)[0]).join('');
    expect(kinds).toBe('iiiciccciccc');
  });

  it('is every other one on parts of clips, where that is asked for', () => {
    const variant = { ...transformerVariant('shipped'), imageSteps: 0, clipTokens: 128 };
    const kinds = Array.from({ length: 8 }, (_, step) => kindOfStep(variant, step)[0]).join('');
    expect(kinds).toBe('ipcpipcp');
    expect(batchOfStep(variant, 'parts', 320)).toBe(2 * batchOfStep(variant, 'clips', 320));
  });
});

describe('training on some of the tokens', () => {
  const config: TransformerConfig = {
    ...transformerConfig(transformerVariant('tiny'), {
      latentChannels: 3,
      spatialCompression: 16,
      temporalCompression: 4,
    }),
  };
  const [frames, side] = [3, config.sampleHeight];
  const cells = frames * side * side;
  const shape = [frames, config.latentChannels, side, side];
  /** Two samples; the subject of each goes through a corner. */
  const bank: LatentBank = {
    count: 2,
    shape,
    latents: (index, out, at) => out.set(randomStream(3, 'latents', index).normals(sizeOf(shape)), at),
    tokens: (index) => Int16Array.from({ length: TEXT_TOKENS }, (_, i) => (index + i) % 50),
    mask: (index) =>
      Uint8Array.from({ length: cells }, (_, cell) => (cell === (index ? side * side + 1 : 0) ? 255 : 0)),
  };
  const batch = 2;
  const options = { ...transformerVariant('tiny'), seed: 1, batch, emptyTokens: new Int16Array(TEXT_TOKENS) };
  const schedule = transformerSchedule();

  const textScope = new Parameters();
  t5Encoder(textConfig(), textScope.root, { ids: g.input('ids', [batch, TEXT_TOKENS], 'i64') });
  const values = (name: string, of: readonly number[], scale: number) =>
    floats(
      of,
      randomStream(4, name)
        .normals(sizeOf(of))
        .map((value) => value * scale),
    );
  const textWeights = new Map(
    [...textScope.declared].map(([name, { shape: of }]) => [name, values(name, of, 0.1)]),
  );
  const gradients = async (tokens: number | undefined, inputs: Tensors) => {
    const objective = transformerObjective(config, { batch, latentFrames: frames, side, tokens });
    const tables = [...objective.trainable].map(([name, of]) => [name, values(name, of.shape, 0.2)] as const);
    const executable = await runtime.compile(objective.program, { weights: textWeights });
    try {
      return await executable.run({ ...inputs, ...Object.fromEntries(tables) });
    } finally {
      await executable.release();
    }
  };

  it('is training on all where all are chosen: the same loss and every gradient', async () => {
    const whole = latentBatch(bank, schedule, options, 7);
    const { positions, latents: packed } = latentBatch(bank, schedule, { ...options, tokens: cells }, 7);
    const plane = side * side;
    /** The whole batch [B, f, C, h, w] as [B, 1, C, 1, f·h·w]. */
    const repacked = ({ data }: HostTensor) =>
      floats(
        packed.shape,
        Float32Array.from({ length: packed.data.length }, (_, at) => {
          const [b, rest] = [Math.floor(at / (cells * shape[1])), at % (cells * shape[1])];
          const [channel, cell] = [Math.floor(rest / cells), rest % cells];
          const frame = b * frames + Math.floor(cell / plane);
          return (data as Float32Array)[(frame * shape[1] + channel) * plane + (cell % plane)];
        }),
      );
    // The first sample is drawn before the choice takes numbers from the stream.
    const first = (tensor: HostTensor) => (tensor.data as Float32Array).subarray(0, cells * shape[1]);
    expect(first(packed)).toEqual(first(repacked(whole.latents)));

    const expected = await gradients(undefined, whole);
    const found = await gradients(cells, {
      ...whole,
      latents: repacked(whole.latents),
      noise: repacked(whole.noise),
      weight: floats([batch, 1, 1, 1, cells], whole.weight.data as Float32Array),
      positions,
    });
    expect(Object.keys(found)).toEqual(Object.keys(expected));
    for (const [name, tensor] of Object.entries(expected)) {
      const data = tensor.data as Float32Array;
      const scale = Math.max(...data.map(Math.abs));
      for (const [i, value] of (found[name].data as Float32Array).entries()) {
        expect(Math.abs(value - data[i])).toBeLessThan(2e-5 * scale + 1e-9);
      }
    }
  });

  it('chooses where the subject is at any time more often than elsewhere', () => {
    const kept = 6;
    const counts = new Map<number, number>();
    for (let step = 0; step < 300; step++) {
      const { positions } = latentBatch(bank, schedule, { ...options, tokens: kept }, step);
      const data = positions.data as BigInt64Array;
      for (let b = 0; b < batch; b++) {
        const places = [...data.subarray(b * (TEXT_TOKENS + kept), (b + 1) * (TEXT_TOKENS + kept))].map(
          Number,
        );
        expect(places.slice(0, TEXT_TOKENS)).toEqual([...Array(TEXT_TOKENS).keys()]);
        const cellsOf = places.slice(TEXT_TOKENS).map((place) => place - TEXT_TOKENS);
        expect(cellsOf).toEqual([...new Set(cellsOf)].sort((p, q) => p - q));
        for (const cell of cellsOf)
          counts.set(cell % (side * side), (counts.get(cell % (side * side)) ?? 0) + 1);
      }
    }
    const elsewhere = counts.get(side * side - 1)!;
    expect(counts.get(0)!).toBeGreaterThan(2 * elsewhere);
    expect(counts.get(1)!).toBeGreaterThan(2 * elsewhere);
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
      const presence = new Float32Array(9 * PRESENCE_SIDE ** 2);
      return motionFeatures(clip, new Float32Array(9 * 128).fill(0.1), presence);
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
