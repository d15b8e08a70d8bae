import type { Panorama } from '../art/source.ts';

/** The size of a baked view, its focal length and where its horizon lies, all in pixels. */
export const VIEW = { width: 112, height: 92, focal: 56, horizon: 40 } as const;

/** Samples per pixel and axis: panoramas are about as fine as the views, so 2 is enough. */
const SUPERSAMPLING = 2;

/**
 * A perspective view of a panorama, camera level (the horizon is straight and lies at VIEW.horizon).
 * @returns linear light, [VIEW.height, VIEW.width, 3].
 */
export function perspectiveView(panorama: Panorama, yawDegrees: number): Float32Array {
  const { width, height, focal, horizon } = VIEW;
  const out = new Float32Array(width * height * 3);
  const yaw = (yawDegrees * Math.PI) / 180;
  const sample = new Float64Array(3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      sample.fill(0);
      for (let s = 0; s < SUPERSAMPLING * SUPERSAMPLING; s++) {
        const dx = ((s % SUPERSAMPLING) + 0.5) / SUPERSAMPLING;
        const dy = (Math.floor(s / SUPERSAMPLING) + 0.5) / SUPERSAMPLING;
        const right = x + dx - width / 2;
        const up = horizon - (y + dy);
        const longitude = yaw + Math.atan2(right, focal);
        const latitude = Math.atan2(up, Math.hypot(right, focal));
        addSample(panorama, 0.5 + longitude / (2 * Math.PI), 0.5 - latitude / Math.PI, sample);
      }
      for (let c = 0; c < 3; c++) out[(y * width + x) * 3 + c] = sample[c] / SUPERSAMPLING ** 2;
    }
  }
  return out;
}

/** Lamps and the sun would bleed through the filter: samples are limited. */
const BRIGHTEST = 8;

/**
 * The panoramas were made smaller with a filter that rings: around lamps and in the sun there are values at or
 * below zero. Such pixels take the mean of their sound neighbours, from the outside in.
 */
export function repairPanorama(panorama: Panorama): Panorama {
  const { width, height } = panorama;
  const rgb = panorama.rgb.map((value) => (value < BRIGHTEST ? value : BRIGHTEST));
  const isSound = (pixel: number) => rgb[pixel * 3] > 0 && rgb[pixel * 3 + 1] > 0 && rgb[pixel * 3 + 2] > 0;
  let broken = Array.from({ length: width * height }, (_, pixel) => pixel).filter((pixel) => !isSound(pixel));
  while (broken.length > 0 && broken.length < width * height) {
    const repairs = new Map<number, number[]>();
    for (const pixel of broken) {
      const sound = neighbours(pixel, width, height).filter(isSound);
      if (sound.length === 0) continue;
      const mean = (c: number) => sound.reduce((sum, other) => sum + rgb[other * 3 + c], 0) / sound.length;
      repairs.set(pixel, [mean(0), mean(1), mean(2)]);
    }
    for (const [pixel, colour] of repairs) rgb.set(colour, pixel * 3);
    broken = broken.filter((pixel) => !repairs.has(pixel));
  }
  return { width, height, rgb };
}

function neighbours(pixel: number, width: number, height: number): number[] {
  const x = pixel % width;
  const y = Math.floor(pixel / width);
  const found: number[] = [];
  for (let row = Math.max(y - 1, 0); row <= Math.min(y + 1, height - 1); row++) {
    for (let step = -1; step <= 1; step++) {
      if (step !== 0 || row !== y) found.push(row * width + ((x + step + width) % width));
    }
  }
  return found;
}

/** Adds the bilinear sample at (u, v) in [0, 1): u wraps around, v stops at the poles. */
function addSample(panorama: Panorama, u: number, v: number, sum: Float64Array): void {
  const { width, height, rgb } = panorama;
  const x = (u - Math.floor(u)) * width - 0.5;
  const y = Math.min(Math.max(v * height - 0.5, 0), height - 1);
  const x0 = Math.floor(x);
  const y0 = Math.floor(y);
  for (let corner = 0; corner < 4; corner++) {
    const right = corner & 1;
    const down = corner >> 1;
    const weight = (right ? x - x0 : 1 - x + x0) * (down ? y - y0 : 1 - y + y0);
    if (weight === 0) continue;
    const column = (x0 + right + width) % width;
    const from = (Math.min(y0 + down, height - 1) * width + column) * 3;
    for (let c = 0; c < 3; c++) sum[c] += weight * rgb[from + c];
  }
}

/** A filmic curve: linear in the shadows, shoulder above; 1 is reached at about 6 times the middle grey. */
function filmic(value: number): number {
  return (value * (2.51 * value + 0.03)) / (value * (2.43 * value + 0.59) + 0.14);
}

function inverseFilmic(target: number): number {
  let low = 0;
  let high = 16;
  for (let i = 0; i < 40; i++) {
    const middle = (low + high) / 2;
    if (filmic(middle) < target) low = middle;
    else high = middle;
  }
  return low;
}

function srgb(linear: number): number {
  return linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055;
}

/**
 * Tone mapping: exposure such that the median luminance becomes `brightness` (sRGB value, 0–1), a filmic
 * curve, and a little more colour, which the curve takes away.
 * @param grade a factor for each channel, in linear light.
 * @param views linear light, [height, width, 3] each; all of one scene share an exposure.
 * @returns bytes, [height, width, 3] each.
 */
export function toneMap(
  views: readonly Float32Array[],
  brightness: number,
  grade: readonly number[] = [1, 1, 1],
): Uint8Array[] {
  const luminances: number[] = [];
  for (const view of views) {
    for (let i = 0; i < view.length; i += 3) luminances.push(luminance(view, i));
  }
  luminances.sort((a, b) => a - b);
  const median = Math.max(luminances[luminances.length >> 1], 1e-4);
  const linearTarget = brightness <= 0.04045 ? brightness / 12.92 : ((brightness + 0.055) / 1.055) ** 2.4;
  const exposure = inverseFilmic(linearTarget) / median;
  const saturation = 1.15;
  return views.map((view) => {
    const bytes = new Uint8Array(view.length);
    for (let i = 0; i < view.length; i += 3) {
      const grey = luminance(view, i);
      for (let c = 0; c < 3; c++) {
        const coloured = Math.max(0, grey + saturation * (view[i + c] - grey));
        bytes[i + c] = Math.round(255 * Math.min(1, srgb(filmic(coloured * exposure * grade[c]))));
      }
    }
    return bytes;
  });
}

function luminance(rgb: Float32Array, at: number): number {
  return 0.2126 * rgb[at] + 0.7152 * rgb[at + 1] + 0.0722 * rgb[at + 2];
}
