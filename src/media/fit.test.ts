import { describe, expect, it } from 'vitest';
import { movingDisc } from '../../test/media-samples.ts';
import { hostTensor, zeros } from '../tensor/host-tensor.ts';
import { fitFrames, fromModelRange, stretchOf, toModelRange } from './fit.ts';

const pixel = (tensor: { shape: readonly number[]; data: Uint8Array }, y: number, x: number) => {
  const at = (y * tensor.shape[2] + x) * 3;
  return [...tensor.data.slice(at, at + 3)];
};

describe('fitFrames', () => {
  it.each(['stretch', 'crop', 'pad'] as const)('%s gives exactly the size', (mode) => {
    for (const [height, width] of [
      [31, 50],
      [50, 31],
      [1, 99],
      [40, 40],
    ]) {
      const out = fitFrames(zeros('u8', [2, height, width, 3]), { width: 24, height: 16 }, mode);
      expect(out.shape).toEqual([2, 16, 24, 3]);
    }
  });

  it('crop keeps the centre', () => {
    const image = zeros('u8', [1, 4, 8, 3]);
    for (let y = 0; y < 4; y++) for (let x = 0; x < 8; x++) image.data[(y * 8 + x) * 3] = x * 10;
    const out = fitFrames(image, { width: 4, height: 4 }, 'crop');
    expect([0, 1, 2, 3].map((x) => pixel(out, 0, x)[0])).toEqual([20, 30, 40, 50]);
  });

  it('pad adds black bars on both sides and nothing else', () => {
    const white = zeros('u8', [1, 10, 20, 3]);
    white.data.fill(255);
    const out = fitFrames(white, { width: 20, height: 20 }, 'pad');
    const rows = Array.from({ length: 20 }, (_, y) => pixel(out, y, 10)[0]);
    expect(rows).toEqual([...Array(5).fill(0), ...Array(10).fill(255), ...Array(5).fill(0)]);
  });
});

it('stretchOf measures the change of aspect, either way', () => {
  expect(stretchOf({ width: 320, height: 240 }, { width: 720, height: 480 })).toBeCloseTo(0.125, 12);
  expect(stretchOf({ width: 720, height: 480 }, { width: 320, height: 240 })).toBeCloseTo(0.125, 12);
  expect(stretchOf({ width: 360, height: 240 }, { width: 720, height: 480 })).toBe(0);
});

describe('model range', () => {
  it('is planar, and −1 … 1 as the official loader rounds it', () => {
    const frames = hostTensor('u8', [1, 1, 2, 3], Uint8Array.of(0, 255, 128, 51, 102, 153));
    const video = toModelRange(frames);
    expect(video.shape).toEqual([1, 3, 1, 2]);
    const value = (byte: number) => Math.fround(Math.fround(Math.fround(byte / 255) * 2) - 1);
    expect([...video.data]).toEqual([0, 51, 255, 102, 128, 153].map(value));
    expect(value(255)).toBe(1);
  });

  it('survives the way back', () => {
    const frames = movingDisc(3, 20, 12);
    expect(fromModelRange(toModelRange(frames)).data).toEqual(frames.data);
    const beyond = { dtype: 'f32' as const, shape: [1, 3, 1, 1], data: Float32Array.of(-3, 7, 0) };
    expect([...fromModelRange(beyond).data]).toEqual([0, 255, 128]);
  });
});
