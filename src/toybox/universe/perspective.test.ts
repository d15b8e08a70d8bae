import { describe, expect, it } from 'vitest';
import type { Panorama } from '../art/source.ts';
import { perspectiveView, repairPanorama, toneMap, VIEW } from './perspective.ts';

/** red: longitude as a share of the circle; green: latitude as a share; blue: 1. */
function compass(): Panorama {
  const [width, height] = [360, 180];
  const rgb = new Float32Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      rgb.set([(x + 0.5) / width, (y + 0.5) / height, 1], (y * width + x) * 3);
    }
  }
  return { width, height, rgb };
}

const pixel = (view: Float32Array, x: number, y: number) => {
  const from = (y * VIEW.width + x) * 3;
  return view.subarray(from, from + 3);
};

describe('perspectiveView', () => {
  it('looks where it should', () => {
    const middle = VIEW.width / 2;
    for (const [yaw, share] of [
      [0, 0.5],
      [90, 0.75],
      [-120, 1 / 6],
    ]) {
      const view = perspectiveView(compass(), yaw);
      expect(pixel(view, middle, VIEW.horizon)[0]).toBeCloseTo(share, 2);
      expect(pixel(view, middle, VIEW.horizon)[1]).toBeCloseTo(0.5, 1);
      // A focal length to the right of the middle is 45° further to the right.
      expect(pixel(view, middle + VIEW.focal - 1, VIEW.horizon)[0]).toBeCloseTo(share + 0.125, 2);
      // One focal length below the horizon is 45° down.
      expect(pixel(view, middle, VIEW.horizon + VIEW.height - 50)[1]).toBeGreaterThan(0.65);
    }
  });

  it('closes the circle without a seam', () => {
    const round: Panorama = { ...compass() };
    for (let i = 0; i < round.rgb.length; i += 3) {
      round.rgb[i] = 0.5 + 0.5 * Math.sin(2 * Math.PI * round.rgb[i]);
    }
    const view = perspectiveView(round, 180);
    for (let x = 1; x < VIEW.width; x++) {
      expect(Math.abs(pixel(view, x, 40)[0] - pixel(view, x - 1, 40)[0])).toBeLessThan(0.02);
    }
  });
});

describe('repairPanorama', () => {
  it('fills values at or below zero and not-a-numbers from their neighbours, and limits lamps', () => {
    const broken = compass();
    const at = (x: number, y: number) => (y * broken.width + x) * 3;
    broken.rgb.set([-3, 0, 12000], at(100, 60));
    broken.rgb.set([Number.NaN, 1, 1], at(140, 60));
    broken.rgb.set([Number.POSITIVE_INFINITY, 2, 2], at(200, 90));
    const { rgb } = repairPanorama(broken);
    expect(rgb[at(100, 60)]).toBeCloseTo(100 / 360, 1);
    expect(rgb[at(100, 60) + 2]).toBeCloseTo(1, 5);
    expect(rgb[at(200, 90)]).toBe(8);
    expect(rgb.every((value) => value > 0 && value <= 8)).toBe(true);
    expect(broken.rgb[at(100, 60)]).toBe(-3);
  });
});

describe('toneMap', () => {
  const gradient = Float32Array.from({ length: 300 }, (_, i) => 0.001 + Math.floor(i / 3) / 30);

  it('brings the median to the asked brightness and keeps the order', () => {
    for (const brightness of [0.13, 0.4, 0.6]) {
      const [bytes] = toneMap([gradient], brightness);
      expect(Math.abs(bytes[150] - 255 * brightness)).toBeLessThan(4);
      for (let i = 3; i < bytes.length; i += 3) expect(bytes[i]).toBeGreaterThanOrEqual(bytes[i - 3]);
      expect(bytes[297]).toBeGreaterThan(bytes[150] + 20);
    }
  });

  it('shares the exposure between the views of a scene, and grades channels', () => {
    const bright = gradient.map((value) => value * 4);
    const [dark, light] = toneMap([gradient, bright], 0.4);
    expect(light[150]).toBeGreaterThan(dark[150] + 30);
    const [blue] = toneMap([gradient], 0.4, [0.5, 1, 2]);
    expect(blue[152]).toBeGreaterThan(blue[151] + 20);
    expect(blue[151]).toBeGreaterThan(blue[150] + 20);
  });
});
