import { describe, expect, it } from 'vitest';
import { CLIP_SIZE } from './composite.ts';
import { applyLens } from './lens.ts';

const frame = (value: (x: number, y: number) => number) =>
  Uint8Array.from({ length: CLIP_SIZE * CLIP_SIZE * 3 }, (_, i) => {
    const pixel = Math.floor(i / 3);
    return value(pixel % CLIP_SIZE, Math.floor(pixel / CLIP_SIZE));
  });
const at = (rgb: Uint8Array, x: number, y: number) => rgb[(y * CLIP_SIZE + x) * 3];

describe('the lens', () => {
  it('leaves even light as it is, also at the edges', () => {
    for (const level of [0, 1, 127, 255]) {
      const rgb = frame(() => level);
      applyLens(rgb);
      expect([...new Set(rgb)]).toEqual([level]);
    }
  });

  it('spreads a point over its neighbours with a deviation of 0.6 pixels', () => {
    const rgb = frame((x, y) => (x === 20 && y === 30 ? 255 : 0));
    applyLens(rgb);
    const [own, side] = [164 / 256, 46 / 256];
    expect(at(rgb, 20, 30)).toBe(Math.round(255 * own * own));
    expect(at(rgb, 19, 30)).toBe(Math.round(255 * own * side));
    expect(at(rgb, 20, 31)).toBe(Math.round(255 * own * side));
    expect(at(rgb, 21, 29)).toBe(Math.round(255 * side * side));
    expect(at(rgb, 22, 30)).toBe(0);
    expect(Math.sqrt(2 * side)).toBeCloseTo(0.6, 2);
  });
});
