import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type Frames, motionSmoothness, openMetricEncoders } from '../../src/evaluation/index.ts';
import { resize } from '../../src/media/resize.ts';
import { createRuntime, WeightsMismatchError } from '../../src/runtime/index.ts';
import { floats, type HostTensor, zeros } from '../../src/tensor/host-tensor.ts';
import { writeSafetensorsFile } from '../../src/tensor/safetensors.ts';
import { panningClip } from '../metric-clips.ts';
import { describeGolden, expectClose, openGolden, statedTolerance } from './golden.ts';
import { madeWeights, type WeightRecipe } from './recipe-weights.ts';

const runtime = createRuntime({ inline: true, threads: 2 });
const scratch = mkdtempSync(join(tmpdir(), 'dualreal-encoders-'));
afterAll(async () => {
  await runtime.close();
  rmSync(scratch, { recursive: true });
});

/** Pictures [1, 3, H, W] as frames of one clip. */
function framesOf(images: readonly HostTensor[]): Frames {
  const [, , height, width] = images[0].shape;
  const area = height * width;
  const frames = zeros('u8', [images.length, height, width, 3]);
  for (const [f, { data }] of images.entries()) {
    for (let i = 0; i < 3 * area; i++)
      frames.data[f * 3 * area + i] = Number(data[(i % 3) * area + Math.floor(i / 3)]);
  }
  return frames;
}

describeGolden('raft-small', async (golden) => {
  it('flow of a clip, from a folder', async () => {
    const io = await golden.tensors('io.safetensors');
    const frames = framesOf([io.get('in.image1'), io.get('in.image2')]);
    const { flow, release } = await openMetricEncoders(runtime, { flow: golden.path('') });
    const { fields, estimator } = await flow.estimate(frames, [[0, 1]]);
    const [, last] = io.matching(/^out\.flow_iter(\d+)$/).at(-1)!;
    const planar = io.floats(`out.flow_iter${last}`);
    const area = planar.shape[2] * planar.shape[3];
    const expected = floats(
      fields.shape,
      Float32Array.from({ length: 2 * area }, (_, i) => planar.data[(i % 2) * area + (i >> 1)]),
    );
    expectClose(fields, expected, { abs: statedTolerance(golden, 7.5e-4) }, 'flow');
    expect(estimator).toMatchObject({ name: 'raft-small', settings: { iterations: Number(last) + 1 } });
    expect(estimator.source).toBe(`${basename(join(golden.path(''), '..'))}/raft-small`);
    expect(estimator.hash).toMatch(/^[0-9a-f]{64}$/);
    await release();
  });

  it('small frames are enlarged, and their flow is told in their own pixels', async () => {
    const { flow, interpolator, release } = await openMetricEncoders(runtime, { flow: golden.path('') });
    const clip = panningClip(3, 32, (frame) => [frame, 0]);
    const { fields } = await flow.estimate(clip, [[0, 1]]);
    expect(fields.shape).toEqual([1, 32, 32, 2]);
    const large = await flow.estimate(resize(clip, { width: 128, height: 128 }), [[0, 1]]);
    const expected = zeros('f32', fields.shape);
    for (let i = 0; i < large.fields.data.length; i++) {
      const [axis, x, y] = [i % 2, (i >> 1) % 128, Math.floor(i / 256)];
      expected.data[((y >> 2) * 32 + (x >> 2)) * 2 + axis] += large.fields.data[i] / 16 / 4;
    }
    expectClose(fields, expected, { abs: 1e-5 }, 'flow of small frames');
    expect(interpolator.identity.name).toBe('raft-small interpolation');
    expect((await motionSmoothness(clip, interpolator)).encoder.hash).toBe(flow.identity.hash);
    await release();
  });
});

describeGolden('amt-s', async (golden) => {
  it('interpolated frames, from a bare weights file', async () => {
    const file = join(scratch, 'amt-s.safetensors');
    const { weights } = golden.json<{ weights: WeightRecipe[] }>('config.json');
    await writeSafetensorsFile(file, madeWeights(weights) as Map<string, HostTensor>, {});
    const io = await golden.tensors('io.safetensors');
    const [first, second] = ['image0', 'image1'].map((name) => io.get(`in.${name}`) as Frames);
    const [height, width] = first.shape;
    const frames = zeros('u8', [2, height, width, 3]);
    frames.data.set(first.data, 0);
    frames.data.set(second.data, first.data.length);
    const { interpolator, release } = await openMetricEncoders(runtime, { interpolator: file });
    const made = await interpolator.midpoints(frames, [[0, 1]]);
    expectClose(made.data, io.get('out.frame').data as Uint8Array, { abs: 1 }, 'frame');
    expect(interpolator.identity).toMatchObject({ name: 'amt-s', settings: { flows: 3 } });
    await release();
  });
});

describe('image encoders', () => {
  const [guie, dino] = [openGolden('guie-vith'), openGolden('dino-vits16')];

  it.runIf(guie)('the fine-tuned ViT-H/14 for CLIP-I, beside no CLIP for the rest', async () => {
    const { clip, clipI, release } = await openMetricEncoders(runtime, { clipI: guie!.path('') });
    const { vectors, encoder } = await clipI!.images(panningClip(3, 20, (frame) => [frame, 0]));
    expect(vectors.shape).toEqual([3, encoder.settings.dim]);
    expect(encoder.settings.input).toMatch(/^\d+ square$/);
    expect(encoder.name).toBe('guie');
    expect(clip).toBeUndefined();
    await release();
  });

  it.runIf(dino)('a bare file is taken for the official ViT-S/16, whose tensors must fit', async () => {
    const open = openMetricEncoders(runtime, { dino: dino!.path('model.safetensors') });
    await expect(open).rejects.toThrow(WeightsMismatchError);
    await expect(open).rejects.toThrow(/expected \[1, 197, 384\]/);
    const { dino: fits, release } = await openMetricEncoders(runtime, { dino: dino!.path('') });
    expect((await fits!.images(panningClip(2, 40, () => [0, 0]))).encoder.name).toBe('dino');
    await release();
  });

  it.runIf(guie)('a bare file without a configuration is no CLIP with texts', async () => {
    await expect(openMetricEncoders(runtime, { clip: guie!.path('model.pth') })).rejects.toThrow(
      'no configuration',
    );
  });
});
