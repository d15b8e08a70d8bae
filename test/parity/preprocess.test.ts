import { expect, it } from 'vitest';
import {
  type CropRounding,
  clipRecipe,
  cropped,
  dualrealReferenceRecipe,
  preprocess,
  preprocessPixels,
  shortSideSize,
} from '../../src/media/preprocess.ts';
import { resize } from '../../src/media/resize.ts';
import { type HostTensor, hostTensor } from '../../src/tensor/host-tensor.ts';
import { describeGolden, expectClose } from './golden.ts';

// Our integer arithmetic is Pillow's, so pixels must be equal; only the scaling rounds differently in f32.
const NORMALISED = { abs: 2e-6 };

/** The side of the square a case was cropped to, from its outputs. */
const sideOf = (tensor: HostTensor) => (tensor.dtype === 'u8' ? tensor.shape[0] : tensor.shape[2]);

/** Which of our roundings cuts a margin at `start`; without a start the margin is even and any does. */
function roundingOf(margin: number, start: number | undefined): CropRounding | undefined {
  if (start === undefined) return 'round-half-even';
  const floor = Math.floor(margin / 2);
  if (start === floor) return 'floor';
  return start === (floor % 2 === 0 ? floor : floor + 1) ? 'round-half-even' : undefined;
}

/** A square of an image [H, W, 3] that begins at `start` along the long side. */
function centreAt({ shape, data }: HostTensor<'u8'>, side: number, start: number): HostTensor<'u8'> {
  const [height, width] = shape;
  const [top, left] = height > width ? [start, 0] : [0, start];
  return cropped(hostTensor('u8', [1, height, width, 3], data), { top, left, width: side, height: side });
}

describeGolden('clip', async (golden) => {
  const io = await golden.tensors('io.safetensors');
  const image = (name: string) => io.get(name) as HostTensor<'u8'>;

  const whole = io.matching(/^preprocess\.(\w+)\.cropped_u8$/);
  it.each(whole.map(([, name]) => name))('%s: cropped pixels equal Pillow’s', (name) => {
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
    const size = shortSideSize({ width, height }, side);
    const start = left === undefined ? undefined : Number(left);
    const rounding = roundingOf(Math.max(size.width, size.height) - side, start);
    const actual = rounding
      ? preprocess(source, clipRecipe(side, rounding))
      : // A rule of neither kind (old transformers round up): cut by hand what it would cut.
        preprocess(centreAt(resize(source, size, 'bicubic'), side, start!), clipRecipe(side));
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
    expect(whole.length).toBeGreaterThan(0);
    expect(normalised.some(([, , left]) => left !== undefined)).toBe(true);
  });
});
