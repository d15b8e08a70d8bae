import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Parameters } from '../../../nn/parameters.ts';
import { createRuntime, WeightsMismatchError } from '../../../runtime/index.ts';
import { CancelledError, DualrealError, ShapeError } from '../../../tensor/errors.ts';
import { type FloatTensor, floats, maxAbsDifference } from '../../../tensor/host-tensor.ts';
import { randomStream } from '../../../tensor/random.ts';
import { type Shape, sizeOf } from '../../../tensor/shape.ts';
import { VaeCodec, type VaeCodecOptions } from './codec.ts';
import { parseVaeConfig } from './config.ts';
import { vaeParameters } from './programs.ts';

const config = parseVaeConfig({
  block_out_channels: [4, 8],
  latent_channels: 2,
  layers_per_block: 1,
  norm_num_groups: 2,
  temporal_compression_ratio: 2,
  sample_height: 16,
  sample_width: 16,
});
const runtime = createRuntime({ inline: true, threads: 1 });
const weights = new Map<string, FloatTensor>();
const codecs: VaeCodec[] = [];

function tensor(shape: Shape, name: string, scale = 1): FloatTensor {
  const values = randomStream(3, name).normals(sizeOf(shape));
  return floats(
    shape,
    values.map((value) => value * scale),
  );
}

function codec(options?: VaeCodecOptions, table: ReadonlyMap<string, FloatTensor> = weights): VaeCodec {
  const made = new VaeCodec(runtime, config, table, options);
  codecs.push(made);
  return made;
}

beforeAll(() => {
  const parameters = new Parameters();
  vaeParameters(config, parameters.root);
  for (const [name, { shape }] of parameters.declared) weights.set(name, tensor(shape, name, 0.3));
});
afterAll(async () => {
  for (const each of codecs) await each.release();
  await runtime.close();
});

describe('VaeCodec', () => {
  it('treats a video without a batch axis like a batch of one', async () => {
    const frames = tensor([9, 3, 4, 6], 'frames');
    const { mean, logvar } = await codec().encode(frames);
    expect([mean.shape, logvar.shape]).toEqual([
      [5, 2, 2, 3],
      [5, 2, 2, 3],
    ]);
    const batched = await codec().encode(floats([1, ...frames.shape], frames.data));
    expect(batched.mean.shape).toEqual([1, 5, 2, 2, 3]);
    expect(batched.mean.data).toEqual(mean.data);
    const decoded = await codec().decode(mean);
    expect(decoded.shape).toEqual([9, 3, 4, 6]);
  });

  it('treats the clips of a batch separately', async () => {
    const latents = tensor([2, 3, 2, 2, 2], 'latents');
    const both = await codec().decode(latents);
    const half = latents.data.length / 2;
    const second = await codec().decode(floats([3, 2, 2, 2], latents.data.slice(half)));
    const error = second.data.reduce(
      (most, value, i) => Math.max(most, Math.abs(value - both.data[both.data.length / 2 + i])),
      0,
    );
    expect(error).toBeLessThan(1e-5);
  });

  it('decodes the same with weights that stay in their files', async () => {
    const latents = tensor([3, 2, 2, 2], 'latents');
    const folded = await codec().decode(latents);
    const mapped = await codec({ residence: 'mapped' }).decode(latents);
    // Products of packed and of plain weights round differently.
    expect(mapped.shape).toEqual(folded.shape);
    expect(maxAbsDifference(mapped, folded)).toBeLessThan(1e-5);
  });

  it('reports progress after every batch, and after every tile', async () => {
    const seen: string[] = [];
    const onProgress = (done: number, total: number) => seen.push(`${done}/${total}`);
    await codec().decode(tensor([6, 2, 2, 2], 'latents'), { onProgress });
    await codec().encode(tensor([16, 3, 4, 4], 'frames'), { onProgress });
    await codec({ tiling: true }).decode(tensor([1, 2, 6, 3], 'latents'), { onProgress });
    expect(seen).toEqual(['1/3', '2/3', '3/3', '1/2', '2/2', '1/2', '2/2']);
  });

  it('goes on from the state of any tile', async () => {
    const latents = tensor([3, 2, 6, 6], 'latents');
    const tiled = codec({ tiling: true });
    const whole = await tiled.decode(latents);
    const states = [];
    for await (const { state } of tiled.decodeSteps(latents)) states.push(state);
    expect(states.length).toBe(4);
    for (const from of states.slice(0, -1)) {
      const frames = [];
      for await (const step of tiled.decodeSteps(latents, { from }))
        if (step.frames) frames.push(step.frames);
      expect(frames.map(({ data }) => data)).toEqual([whole.data]);
    }
  });

  it('refuses a state of other latents, other channels, and images that are too small', async () => {
    const latents = tensor([2, 2, 2, 2], 'latents');
    const resumed = codec().decodeSteps(latents, { from: { step: 7, tensors: new Map() } });
    await expect(resumed.next()).rejects.toThrow(DualrealError);
    await expect(codec().decode(tensor([2, 3, 2, 2], 'latents'))).rejects.toThrow(ShapeError);
    await expect(codec().encode(tensor([2, 3, 1, 2], 'frames'))).rejects.toThrow(ShapeError);
    await expect(codec().encode(tensor([3, 2, 2], 'frames'))).rejects.toThrow(ShapeError);
  });

  it('stops between batches when cancelled', async () => {
    const abort = new AbortController();
    const onProgress = () => abort.abort();
    const running = codec().decode(tensor([6, 2, 2, 2], 'latents'), { signal: abort.signal, onProgress });
    await expect(running).rejects.toThrow(CancelledError);
  });

  it('names every weight that is missing, mis-shaped or unknown', () => {
    const table = new Map(weights);
    table.delete('decoder.conv_in.conv.bias');
    table.set('encoder.norm_out.weight', floats([3], [1, 2, 3]));
    table.set('decoder.surprise', floats([1], [1]));
    const open = () => codec({}, table);
    expect(open).toThrow(WeightsMismatchError);
    for (const name of ['decoder.conv_in.conv.bias', 'encoder.norm_out.weight', 'decoder.surprise']) {
      expect(open).toThrow(name);
    }
  });
});
