import { readFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import * as g from '../../src/graph/index.ts';
import { frameBatches, LATENT_FRAMES_PER_BATCH } from '../../src/models/cogvideox/vae/batches.ts';
import { concatFrames } from '../../src/models/cogvideox/vae/host-video.ts';
import {
  type DecodeState,
  parseVaeConfig,
  type TileSettings,
  VaeCodec,
  vaeDecoder,
  vaeEncoder,
  vaeTrainingForward,
} from '../../src/models/cogvideox/vae/index.ts';
import { unstackFrames } from '../../src/nn/frames.ts';
import { Parameters } from '../../src/nn/parameters.ts';
import { createRuntime } from '../../src/runtime/index.ts';
import { type FloatTensor, floats } from '../../src/tensor/host-tensor.ts';
import { readSafetensorsFile } from '../../src/tensor/safetensors.ts';
import { sizeOf } from '../../src/tensor/shape.ts';
import { describeGolden, expectClose, type Golden, type GoldenTensors, statedTolerance } from './golden.ts';

/** [B, C, F, H, W] ↔ [B, F, C, H, W]. */
function swapFrames({ shape: [batch, first, second, height, width], data }: FloatTensor): FloatTensor {
  const size = height * width;
  const swapped = new Float32Array(data.length);
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < first; i++) {
      for (let j = 0; j < second; j++) {
        const from = ((b * first + i) * second + j) * size;
        swapped.set(data.subarray(from, from + size), ((b * second + j) * first + i) * size);
      }
    }
  }
  return floats([batch, second, first, height, width], swapped);
}

/** The tile settings that the folder's README states; undefined where it states none: upstream's defaults. */
function statedTiles(golden: Golden): TileSettings | undefined {
  const stated = golden.has('README.md')
    ? /settings (\{[^}]*\})/.exec(readFileSync(golden.path('README.md'), 'utf8'))
    : undefined;
  if (!stated) return undefined;
  const settings = JSON.parse(stated[1]) as Record<string, number>;
  return {
    sampleHeight: settings.tile_sample_min_height,
    sampleWidth: settings.tile_sample_min_width,
    latentHeight: settings.tile_latent_min_height,
    latentWidth: settings.tile_latent_min_width,
    overlapHeight: settings.tile_overlap_factor_height,
    overlapWidth: settings.tile_overlap_factor_width,
  };
}

const video = (io: GoldenTensors, name: string): FloatTensor => swapFrames(io.floats(name));

describeGolden('vae', async (golden) => {
  const config = parseVaeConfig(golden.json('config.json'), golden.path('config.json'));
  const weights = await readSafetensorsFile(golden.path('model.safetensors'));
  const io = await golden.tensors('io.safetensors');
  const TOLERANCE = { abs: statedTolerance(golden, 9.9e-5) };
  const tiles = statedTiles(golden) ?? true;
  const runtime = createRuntime({ inline: true });
  afterAll(() => runtime.close());

  const codecFor = (name: string) =>
    new VaeCodec(runtime, config, weights, {
      tiling: name.startsWith('tiled_') && tiles,
      frameBatching: !name.endsWith('_unbatched'),
    });

  it.each(io.matching(/^((?:tiled_)?encode\w*)\.in$/).map(([, name]) => name))('%s', async (name) => {
    const codec = codecFor(name);
    const { mean, logvar } = await codec.encode(video(io, `${name}.in`));
    await codec.release();
    expectClose(swapFrames(mean), io.get(`${name}.mean`), TOLERANCE, `${name}.mean`);
    expectClose(swapFrames(logvar), io.get(`${name}.logvar`), TOLERANCE, `${name}.logvar`);
  });

  it.each(io.matching(/^((?:tiled_)?decode\w*)\.in$/).map(([, name]) => name))('%s', async (name) => {
    const codec = codecFor(name);
    const frames = await codec.decode(video(io, `${name}.in`));
    await codec.release();
    expectClose(swapFrames(frames), io.get(`${name}.out`), TOLERANCE, `${name}.out`);
  });

  /** Runs a graph with every probed stage as an output and compares those that the reference has. */
  const expectStages = async (half: 'encoder' | 'decoder', input: FloatTensor) => {
    const outputs: Record<string, g.Value> = {};
    const frames = unstackFrames(g.input('x', input.shape));
    const model = half === 'encoder' ? vaeEncoder : vaeDecoder;
    const probe = (name: string, value: g.Value) => {
      outputs[name] = value;
    };
    model(config, new Parameters().root.at(half), frames, { probe });
    const executable = await runtime.compile(g.program(half, outputs), { weights });
    const results = await executable.run({ x: input });
    await executable.release();
    const stages = io.matching(new RegExp(`^stage\\.${half}\\.(.+)$`));
    expect(stages.length).toBeGreaterThan(0);
    for (const [name, stage] of stages) {
      expectClose(swapFrames(results[stage] as FloatTensor), io.get(name), TOLERANCE, name);
    }
  };

  it('stages of the encoder', async () => {
    // The reference recorded them for the case with these frames and this size.
    const [batch, , ...extent] = io.get('stage.encoder.conv_in').shape;
    const [match] = io
      .matching(/^encode\w*\.in$/)
      .filter(
        ([name]) => `${[io.get(name).shape[0], ...io.get(name).shape.slice(2)]}` === `${[batch, ...extent]}`,
      );
    await expectStages('encoder', video(io, match[0]));
  });

  const cached = io.matching(/^(decode\w*)\.cache_after_first_batch\.(.+)$/);
  const firstBatch = () => {
    const latents = video(io, `${cached[0][1]}.in`);
    const [{ stop }] = frameBatches(latents.shape[1], LATENT_FRAMES_PER_BATCH);
    const [batch, count, ...image] = latents.shape;
    const frame = sizeOf(image);
    const parts = Array.from({ length: batch }, (_, b) => [
      ...latents.data.subarray(b * count * frame, (b * count + stop) * frame),
    ]);
    return floats([batch, stop, ...image], parts.flat());
  };

  it('stages of the decoder', () => expectStages('decoder', firstBatch()));

  it('caches after the first batch', async () => {
    const codec = new VaeCodec(runtime, config, weights);
    const { value } = await codec.decodeSteps(video(io, `${cached[0][1]}.in`)).next();
    await codec.release();
    expect(cached.length).toBeGreaterThan(0);
    for (const [name, , place] of cached) {
      const path = `decoder.${place.replace(/(block|resnet)_(\d+)/g, '$1s.$2')}`;
      const expected = swapFrames(io.floats(name)); // [B, 2, C, h, w]
      const frame = (age: string): FloatTensor => {
        const tensor = value!.state.tensors.get(`${path}.${age}`) as FloatTensor;
        const [batch, , ...image] = expected.shape;
        return floats([batch, 1, ...image], tensor.data);
      };
      expectClose(concatFrames([frame('before'), frame('last')]), expected, TOLERANCE, name);
    }
  });

  it('decoding goes on from the state of any step', async () => {
    const latents = video(io, `${cached[0][1]}.in`);
    const codec = new VaeCodec(runtime, config, weights);
    const whole = await codec.decode(latents);
    const frames: FloatTensor[] = [];
    let state: DecodeState | undefined;
    for (let steps = 1; (state?.step ?? 0) < steps; ) {
      const fresh = new VaeCodec(runtime, config, weights);
      const { value } = await fresh.decodeSteps(latents, { from: state }).next();
      await fresh.release();
      frames.push(value!.frames!);
      ({ state, steps } = value!);
    }
    await codec.release();
    expect(concatFrames(frames).data).toEqual(whole.data);
  });

  it('the training form equals encoding and decoding in one batch', async () => {
    const [, name] = io.matching(/^(encode\w*)\.in$/).find(([full]) => io.get(full).shape[2] % 4 === 1)!;
    const input = video(io, `${name}.in`);
    const codec = new VaeCodec(runtime, config, weights, { frameBatching: false });
    const { mean, logvar } = await codec.encode(input);
    const noise = floats(
      mean.shape,
      mean.data.map((_, i) => Math.sin(i)),
    );
    const latents = mean.data.map((value, i) => value + Math.exp(logvar.data[i] / 2) * noise.data[i]);
    const expected = await codec.decode(floats(mean.shape, latents));
    const traced = vaeTrainingForward(
      config,
      new Parameters().root,
      g.input('video', input.shape),
      g.input('noise', noise.shape),
    );
    const executable = await runtime.compile(g.program('training', { ...traced }), { weights });
    const results = await executable.run({ video: input, noise });
    await executable.release();
    await codec.release();
    expectClose(results.mean, mean, TOLERANCE, 'mean');
    expectClose(results.logvar, logvar, TOLERANCE, 'logvar');
    expectClose(results.reconstruction, expected, TOLERANCE, 'reconstruction');
  });
});
