import { expect, it } from 'vitest';
import {
  type CropRounding,
  clipRecipe,
  dualrealReferenceRecipe,
  preprocess,
  preprocessPixels,
  shortSideSize,
} from '../../src/media/preprocess.ts';
import { resize } from '../../src/media/resize.ts';
import type { HostTensor } from '../../src/tensor/host-tensor.ts';
import { describeGolden, expectClose } from './golden.ts';

// Our integer arithmetic is Pillow's, so pixels must be equal; only the scaling rounds differently in f32.
const NORMALISED = { abs: 2e-6 };

/** The side of the square a case was cropped to, from its outputs. */
const sideOf = (tensor: HostTensor) => (tensor.dtype === 'u8' ? tensor.shape[0] : tensor.shape[2]);

describeGolden('clip', async (golden) => {
  const io = await golden.tensors('io.safetensors');
  const image = (name: string) => io.get(name) as HostTensor<'u8'>;

  const cropped = io.matching(/^preprocess\.(\w+)\.cropped_u8$/);
  it.each(cropped.map(([, name]) => name))('%s: cropped pixels equal Pillow’s', (name) => {
    const expected = io.get(`preprocess.${name}.cropped_u8`);
    const pixels = preprocessPixels(image(`preprocess.${name}.image`), clipRecipe(sideOf(expected)));
    expectClose(pixels.data, expected.data as Uint8Array, {}, name);
  });

  const resized = io.matching(/^preprocess\.(\w+)\.resized_u8$/);
  it.each(resized.map(([, name]) => name))('%s: resized pixels equal Pillow’s', (name) => {
    const source = image(`preprocess.${name}.image`);
    const expected = io.get(`preprocess.${name}.resized_u8`);
    const [height, width] = source.shape;
    const size = shortSideSize({ width, height }, Math.min(expected.shape[0], expected.shape[1]));
    expectClose(resize(source, size, 'bicubic'), expected, {}, name);
  });

  const normalised = io.matching(/^preprocess\.(\w+)\.pixel_values(?:_left(\d+))?$/);
  it.each(normalised.map(([full, name, left]) => ({ full, name, left })))('$full', ({ full, name, left }) => {
    const source = image(`preprocess.${name}.image`);
    const expected = io.get(full);
    const side = sideOf(expected);
    const [height, width] = source.shape;
    const margin = shortSideSize({ width, height }, side).width - side;
    const rounding: CropRounding = Number(left) === Math.floor(margin / 2) ? 'floor' : 'round-half-even';
    const actual = preprocess(source, clipRecipe(side, rounding));
    expectClose(actual.data, expected.data as Float32Array, NORMALISED, full);
  });

  it('the reference image path of the official inference', () => {
    const expected = io.get('dualreal_ref.pixel_values');
    const recipe = dualrealReferenceRecipe(sideOf(expected));
    const source = image('dualreal_ref.image');
    expectClose(preprocessPixels(source, recipe).data, image('dualreal_ref.resized_u8').data, {}, 'pixels');
    expectClose(preprocess(source, recipe).data, expected.data as Float32Array, NORMALISED, 'normalised');
  });

  it('has cases of each kind', () => {
    expect(cropped.length).toBeGreaterThan(0);
    expect(normalised.some(([, , left]) => left !== undefined)).toBe(true);
  });
});
