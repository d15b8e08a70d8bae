import { describe, expect, it } from 'vitest';
import { type Canvas, CLIP_SIZE, type Placement, paintShadow, paintSprite, paintView } from './composite.ts';
import type { SpriteLevel } from './sprite.ts';

const grey = (value: number): Canvas => ({
  rgb: new Uint8Array(CLIP_SIZE * CLIP_SIZE * 3).fill(value),
  mask: new Uint8Array(CLIP_SIZE * CLIP_SIZE),
});

/** An opaque rectangle, left half red and right half blue, with the transparent border of all sprites. */
function twoColours(width: number, height: number): SpriteLevel {
  const pixels = new Uint8Array((width + 2) * (height + 2) * 4);
  for (let y = 1; y <= height; y++) {
    for (let x = 1; x <= width; x++) {
      pixels.set(x <= width / 2 ? [255, 0, 0, 255] : [0, 0, 255, 255], (y * (width + 2) + x) * 4);
    }
  }
  return { size: 72, originX: 0, originY: 0, width: width + 2, height: height + 2, pixels };
}

const upright: Placement = {
  centreX: 32,
  centreY: 32,
  scaleX: 1,
  scaleY: 1,
  rotation: 0,
  opacity: 1,
  gain: [1, 1, 1],
};

const paint = (level: SpriteLevel, change: Partial<Placement>, canvas = grey(100)): Canvas => {
  paintSprite(canvas, level, 0, level.width / 2, level.height / 2, { ...upright, ...change });
  return canvas;
};
const at = ({ rgb }: Canvas, x: number, y: number) => [
  ...rgb.subarray((y * CLIP_SIZE + x) * 3).subarray(0, 3),
];
const sumOf = (values: Uint8Array) => values.reduce((sum, value) => sum + value, 0);

describe('paintSprite', () => {
  it('copies pixels where nothing is scaled or turned', () => {
    const canvas = paint(twoColours(20, 10), {});
    expect(at(canvas, 22, 27)).toEqual([255, 0, 0]);
    expect(at(canvas, 41, 36)).toEqual([0, 0, 255]);
    expect(at(canvas, 21, 32)).toEqual([100, 100, 100]);
    expect(at(canvas, 42, 32)).toEqual([100, 100, 100]);
    expect(sumOf(canvas.mask)).toBe(20 * 10 * 255);
  });

  it('mirrors, and turns clockwise', () => {
    expect(at(paint(twoColours(20, 10), { scaleX: -1 }), 25, 32)).toEqual([0, 0, 255]);
    const turned = paint(twoColours(20, 10), { rotation: Math.PI / 2 });
    // The left half points up after a quarter turn clockwise.
    expect(at(turned, 32, 25)[0]).toBeGreaterThan(250);
    expect(at(turned, 32, 39)[2]).toBeGreaterThan(250);
    expect(at(turned, 24, 32)).toEqual([100, 100, 100]);
  });

  it.each([
    [0.5, 0.5],
    [1.7, 0.8],
    [0.1, 1],
    [1, 0.15],
  ])('covers the area that scales %f and %f ask for, at any angle', (scaleX, scaleY) => {
    for (const rotation of [0, 0.4, 1.1, 2.9]) {
      const canvas = paint(twoColours(24, 16), { scaleX, scaleY, rotation, centreX: 31.3, centreY: 30.8 });
      const area = sumOf(canvas.mask) / 255;
      const expected = 24 * 16 * scaleX * scaleY;
      expect(Math.abs(area - expected)).toBeLessThan(0.04 * expected + 2);
    }
  });

  it('is smooth: moving by a tenth of a pixel changes little', () => {
    const one = paint(twoColours(24, 16), { centreX: 30, rotation: 0.3 });
    const other = paint(twoColours(24, 16), { centreX: 30.1, rotation: 0.3 });
    const largest = Math.max(...one.rgb.map((value, i) => Math.abs(value - other.rgb[i])));
    expect(largest).toBeGreaterThan(0);
    expect(largest).toBeLessThan(45);
  });

  it('weighs by opacity, and lights by gain', () => {
    const half = paint(twoColours(20, 10), { opacity: 0.5 });
    expect(Math.abs(at(half, 25, 32)[0] - 178)).toBeLessThan(3);
    expect(Math.abs(at(half, 25, 32)[1] - 50)).toBeLessThan(3);
    expect(half.mask[32 * CLIP_SIZE + 25]).toBe(127);
    expect(Math.abs(at(paint(twoColours(20, 10), { gain: [0.5, 1, 1] }), 25, 32)[0] - 128)).toBeLessThan(2);
    expect(at(paint(twoColours(20, 10), { gain: [1.4, 1, 1] }), 25, 32)).toEqual([255, 0, 0]);
  });

  it('is cut at the edges of the picture', () => {
    for (const [centreX, centreY] of [
      [-3, 32],
      [66, 66],
      [32, -200],
    ]) {
      const canvas = paint(twoColours(20, 10), { centreX, centreY, rotation: 1 });
      expect(sumOf(canvas.mask)).toBeLessThan((20 * 10 * 255) / 2);
    }
  });
});

describe('paintShadow', () => {
  it('darkens the middle most, nothing outside the ellipse', () => {
    const canvas = grey(200);
    paintShadow(canvas.rgb, 32.5, 40.5, 10, 4, 0.5);
    expect(Math.abs(at(canvas, 32, 40)[0] - 100)).toBeLessThan(3);
    expect(at(canvas, 38, 40)[0]).toBeGreaterThan(110);
    expect(at(canvas, 32, 45)).toEqual([200, 200, 200]);
    expect(at(canvas, 43, 40)).toEqual([200, 200, 200]);
    expect(sumOf(canvas.mask)).toBe(0);
  });
});

describe('paintView', () => {
  const [width, height] = [80, 70];
  const view = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37) % 251);

  it('copies a window of the clip’s size at whole pixels', () => {
    const { rgb } = grey(0);
    paintView(rgb, view, width, height, { left: 5, top: 3, side: CLIP_SIZE }, [1, 1, 1]);
    for (const [x, y] of [
      [0, 0],
      [63, 63],
      [20, 41],
    ]) {
      const from = ((y + 3) * width + x + 5) * 3;
      expect(at({ rgb, mask: rgb }, x, y)).toEqual([...view.subarray(from, from + 3)]);
    }
  });

  it('stays inside the view, and applies the gain', () => {
    const { rgb } = grey(0);
    const flat = new Uint8Array(width * height * 3).fill(100);
    paintView(rgb, flat, width, height, { left: -4, top: 20, side: 90 }, [1.1, 1, 0.9]);
    for (let pixel = 0; pixel < CLIP_SIZE * CLIP_SIZE; pixel++) {
      expect(Math.abs(rgb[pixel * 3] - 110)).toBeLessThan(2);
      expect(Math.abs(rgb[pixel * 3 + 1] - 100)).toBeLessThan(2);
      expect(Math.abs(rgb[pixel * 3 + 2] - 90)).toBeLessThan(2);
    }
  });
});
