import { describe, expect, it } from 'vitest';
import { changingPixels, subjectSurroundings } from './moving-pixels.ts';
import { VaeQuality } from './vae-quality.ts';

const AREA = 64 * 64;
const FRAMES = 3;

/** Grey frames; `mask` covers pixel 10 in frame 1 only. */
function clip(): { frames: Uint8Array; mask: Uint8Array } {
  const frames = new Uint8Array(FRAMES * AREA * 3).fill(100);
  const mask = new Uint8Array(FRAMES * AREA);
  mask[AREA + 10] = 255;
  frames.fill(200, (AREA + 10) * 3, (AREA + 10) * 3 + 3);
  return { frames, mask };
}

describe('quality of a reconstruction', () => {
  it('counts a pixel as moving one frame before and after the subject is there', () => {
    const { frames, mask } = clip();
    const surroundings = subjectSurroundings(mask);
    expect([0, 1, 2].map((frame) => surroundings[frame * AREA + 10])).toEqual([1, 1, 1]);
    expect(surroundings.reduce((sum, value) => sum + value, 0)).toBe(3);
    expect(changingPixels(frames, surroundings)).toEqual(surroundings);
    expect(changingPixels(new Uint8Array(frames.length), surroundings)).not.toContain(1);
  });

  it('gives the decibels of the mean squared error, apart for what moves', () => {
    const { frames, mask } = clip();
    const rebuilt = frames.slice();
    // An error of 51 levels at the moving pixel of one of its three frames.
    for (let c = 0; c < 3; c++) rebuilt[(AREA + 10) * 3 + c] -= 51;
    const quality = new VaeQuality();
    quality.add(frames, rebuilt, mask);
    const { psnr, movingPsnr, flicker } = quality.score();
    expect(movingPsnr).toBeCloseTo(10 * Math.log10(255 ** 2 / (51 ** 2 / 3)), 6);
    expect(psnr).toBeCloseTo(10 * Math.log10(255 ** 2 / (51 ** 2 / (FRAMES * AREA))), 6);
    expect(flicker).toBe(0);
  });

  it('sees flicker in the background and not a constant error', () => {
    const { frames, mask } = clip();
    const constant = new VaeQuality();
    constant.add(
      frames,
      frames.map((value) => value + 4),
      mask,
    );
    expect(constant.score().flicker).toBe(0);
    const flickering = new VaeQuality();
    flickering.add(
      frames,
      frames.map((value, at) => value + (Math.floor(at / (AREA * 3)) % 2 === 0 ? 4 : 0)),
      mask,
    );
    expect(flickering.score().flicker).toBe(4);
  });
});
