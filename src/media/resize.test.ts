import { describe, expect, it } from 'vitest';
import { ShapeError } from '../tensor/errors.ts';
import { type HostTensor, hostTensor, zeros } from '../tensor/host-tensor.ts';
import { randomStream } from '../tensor/random.ts';
import { type ResizeFilter, resize } from './resize.ts';

const FILTERS: ResizeFilter[] = ['bilinear', 'bicubic'];

function noise(frames: number, height: number, width: number, seed: number): HostTensor<'u8'> {
  const image = zeros('u8', [frames, height, width, 3]);
  const stream = randomStream(seed, 'noise');
  for (let i = 0; i < image.data.length; i++) image.data[i] = stream.integer(256);
  return image;
}

describe.each(FILTERS)('resize %s', (filter) => {
  it('keeps a constant image constant at any size', () => {
    const stream = randomStream(1, filter);
    for (let trial = 0; trial < 40; trial++) {
      const [height, width, toHeight, toWidth] = Array.from({ length: 4 }, () => 1 + stream.integer(40));
      const value = stream.integer(256);
      const image = zeros('u8', [height, width, 3]);
      image.data.fill(value);
      const out = resize(image, { width: toWidth, height: toHeight }, filter);
      expect(out.shape).toEqual([toHeight, toWidth, 3]);
      expect(out.data.every((byte) => byte === value)).toBe(true);
    }
  });

  it('treats each frame of a batch alone', () => {
    const batch = noise(3, 9, 14, 2);
    const out = resize(batch, { width: 5, height: 21 }, filter);
    for (let frame = 0; frame < 3; frame++) {
      const single = hostTensor(
        'u8',
        [9, 14, 3],
        batch.data.slice(frame * 9 * 14 * 3, (frame + 1) * 9 * 14 * 3),
      );
      const size = 21 * 5 * 3;
      expect(resize(single, { width: 5, height: 21 }, filter).data).toEqual(
        out.data.slice(frame * size, (frame + 1) * size),
      );
    }
  });

  it('commutes with mirroring', () => {
    const image = noise(1, 12, 17, 3);
    const mirror = (tensor: HostTensor<'u8'>) => {
      const [, height, width] = tensor.shape;
      const out = zeros('u8', tensor.shape);
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          for (let c = 0; c < 3; c++) {
            out.data[(y * width + x) * 3 + c] = tensor.data[(y * width + width - 1 - x) * 3 + c];
          }
        }
      }
      return out;
    };
    const size = { width: 8, height: 30 };
    expect(resize(mirror(image), size, filter).data).toEqual(mirror(resize(image, size, filter)).data);
  });

  it('leaves an image of the wanted size as it is', () => {
    const image = noise(1, 7, 5, 4);
    expect(resize(image, { width: 5, height: 7 }, filter).data).toEqual(image.data);
  });
});

it('averages when it shrinks (antialiasing)', () => {
  const stripes = zeros('u8', [4, 64, 3]);
  for (let x = 0; x < 64; x++) {
    for (let y = 0; y < 4; y++)
      stripes.data.fill(x % 2 === 0 ? 0 : 200, (y * 64 + x) * 3, (y * 64 + x + 1) * 3);
  }
  const out = resize(stripes, { width: 8, height: 4 }, 'bilinear');
  for (const value of out.data) expect(Math.abs(value - 100)).toBeLessThan(8);
});

it('doubles one row by the triangle rule', () => {
  const row = hostTensor('u8', [1, 2, 3], Uint8Array.of(0, 0, 0, 100, 100, 100));
  const out = resize(row, { width: 4, height: 1 }, 'bilinear');
  expect([0, 3, 6, 9].map((i) => out.data[i])).toEqual([0, 25, 75, 100]);
});

it('refuses shapes and sizes that are none', () => {
  expect(() => resize(zeros('u8', [4, 4]), { width: 2, height: 2 })).toThrow(ShapeError);
  expect(() => resize(zeros('u8', [4, 4, 4]), { width: 2, height: 2 })).toThrow(ShapeError);
  expect(() => resize(zeros('u8', [4, 4, 3]), { width: 0, height: 2 })).toThrow(ShapeError);
  expect(() => resize(zeros('u8', [4, 4, 3]), { width: 2.5, height: 2 })).toThrow(ShapeError);
});
