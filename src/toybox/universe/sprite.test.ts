import { describe, expect, it } from 'vitest';
import type { Picture } from '../art/source.ts';
import { drawnAnimation, drawnPicture } from './drawn-art.fixture.ts';
import { extentOf, LEVEL_SIZES, makeSprite } from './sprite.ts';

const square = (side: number, left: number, top: number, size: number, colour: number[]): Picture => {
  const rgba = new Uint8Array(side * side * 4);
  for (let y = top; y < top + size; y++) {
    for (let x = left; x < left + size; x++) rgba.set(colour, (y * side + x) * 4);
  }
  return { width: side, height: side, rgba };
};

describe('sprites', () => {
  it('find the extent of all frames together', () => {
    const frames = [square(100, 10, 20, 5, [9, 9, 9, 255]), square(100, 40, 60, 30, [9, 9, 9, 255])];
    expect(extentOf(frames)).toEqual({ left: 0.1, top: 0.2, right: 0.7, bottom: 0.9 });
    expect(() => extentOf([square(10, 0, 0, 5, [255, 255, 255, 15])])).toThrow(RangeError);
  });

  it('keep the mean colour and coverage at every size', () => {
    const sprite = makeSprite([square(256, 64, 32, 128, [200, 100, 50, 128])]);
    expect(sprite.levels.map(({ size }) => size)).toEqual([...LEVEL_SIZES]);
    for (const { size, pixels } of sprite.levels) {
      const sums = [0, 0, 0, 0];
      for (let i = 0; i < pixels.length; i++) sums[i % 4] += pixels[i];
      const area = (size / 2) ** 2;
      // Alpha is multiplied in: 200 × 128/255 and so on; edges round to whole bytes.
      [100.4, 50.2, 25.1, 128].forEach((expected, c) => {
        expect(Math.abs(sums[c] / area - expected)).toBeLessThan(0.6);
      });
    }
  });

  it('end in transparent pixels on all sides, in every frame', () => {
    for (const { width, height, pixels } of makeSprite(drawnAnimation('any')).levels) {
      const alphaAt = (frame: number, x: number, y: number) =>
        pixels[((frame * height + y) * width + x) * 4 + 3];
      for (let frame = 0; frame < pixels.length / (width * height * 4); frame++) {
        for (let x = 0; x < width; x++) {
          expect(alphaAt(frame, x, 0) + alphaAt(frame, x, height - 1)).toBe(0);
        }
        for (let y = 0; y < height; y++) expect(alphaAt(frame, 0, y) + alphaAt(frame, width - 1, y)).toBe(0);
      }
    }
  });

  it('leave a level-sized picture as it is, but for the multiplied alpha', () => {
    const side = LEVEL_SIZES[1];
    const picture = square(side, 10, 12, 20, [10, 20, 30, 255]);
    const level = makeSprite([picture]).levels[1];
    for (let y = 0; y < level.height; y++) {
      for (let x = 0; x < level.width; x++) {
        const from = ((level.originY + y) * side + level.originX + x) * 4;
        const to = (y * level.width + x) * 4;
        expect([...level.pixels.subarray(to, to + 4)]).toEqual([...picture.rgba.subarray(from, from + 4)]);
      }
    }
    expect(makeSprite([drawnPicture('x')]).frames).toBe(1);
  });
});
