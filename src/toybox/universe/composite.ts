import type { SpriteLevel } from './sprite.ts';

/** Pixels of a clip's side. */
export const CLIP_SIZE = 64;

/** A picture that is being painted: RGB and the subject's alpha. */
export interface Canvas {
  /** [64, 64, 3] */
  readonly rgb: Uint8Array;
  /** [64, 64] */
  readonly mask: Uint8Array;
}

/** A square window into a view, in the view's pixels. */
export interface Window {
  readonly left: number;
  readonly top: number;
  readonly side: number;
}

const FIXED = 256;

/**
 * Fills the canvas with a window of a view, bilinear.
 * @param view bytes, [viewHeight, viewWidth, 3]; the window lies inside.
 * @param gain factor of each channel.
 */
export function paintView(
  rgb: Uint8Array,
  view: Uint8Array,
  viewWidth: number,
  viewHeight: number,
  window: Window,
  gain: readonly number[],
): void {
  const step = window.side / CLIP_SIZE;
  const gainRed = Math.round(gain[0] * FIXED);
  const gainGreen = Math.round(gain[1] * FIXED);
  const gainBlue = Math.round(gain[2] * FIXED);
  const offsets = new Int32Array(CLIP_SIZE);
  const shares = new Int32Array(CLIP_SIZE);
  for (let x = 0; x < CLIP_SIZE; x++) {
    const at = Math.min(Math.max(window.left + (x + 0.5) * step - 0.5, 0), viewWidth - 1.001);
    offsets[x] = Math.floor(at) * 3;
    shares[x] = Math.round((at - Math.floor(at)) * FIXED);
  }
  let to = 0;
  for (let y = 0; y < CLIP_SIZE; y++) {
    const at = Math.min(Math.max(window.top + (y + 0.5) * step - 0.5, 0), viewHeight - 1.001);
    const line = Math.floor(at) * viewWidth * 3;
    const down = Math.round((at - Math.floor(at)) * FIXED);
    const below = line + viewWidth * 3;
    for (let x = 0; x < CLIP_SIZE; x++) {
      const right = shares[x];
      const w3 = (down * right) >> 8;
      const w2 = down - w3;
      const w1 = right - w3;
      const w0 = FIXED - right - w2;
      let a = line + offsets[x];
      let b = below + offsets[x];
      const red = view[a] * w0 + view[a + 3] * w1 + view[b] * w2 + view[b + 3] * w3;
      a++;
      b++;
      const green = view[a] * w0 + view[a + 3] * w1 + view[b] * w2 + view[b + 3] * w3;
      a++;
      b++;
      const blue = view[a] * w0 + view[a + 3] * w1 + view[b] * w2 + view[b + 3] * w3;
      rgb[to] = Math.min((red * gainRed + 0x8000) >> 16, 255);
      rgb[to + 1] = Math.min((green * gainGreen + 0x8000) >> 16, 255);
      rgb[to + 2] = Math.min((blue * gainBlue + 0x8000) >> 16, 255);
      to += 3;
    }
  }
}

/** A soft elliptic shadow that darkens by at most `strength` (0–1). */
export function paintShadow(
  rgb: Uint8Array,
  centreX: number,
  centreY: number,
  radiusX: number,
  radiusY: number,
  strength: number,
): void {
  const top = Math.max(Math.ceil(centreY - radiusY - 0.5), 0);
  const bottom = Math.min(Math.floor(centreY + radiusY - 0.5), CLIP_SIZE - 1);
  const left = Math.max(Math.ceil(centreX - radiusX - 0.5), 0);
  const right = Math.min(Math.floor(centreX + radiusX - 0.5), CLIP_SIZE - 1);
  for (let y = top; y <= bottom; y++) {
    const dy = (y + 0.5 - centreY) / radiusY;
    for (let x = left; x <= right; x++) {
      const dx = (x + 0.5 - centreX) / radiusX;
      const inside = 1 - dx * dx - dy * dy;
      if (inside <= 0) continue;
      const keep = Math.round(FIXED * (1 - strength * inside * (2 - inside)));
      const at = (y * CLIP_SIZE + x) * 3;
      rgb[at] = (rgb[at] * keep + 128) >> 8;
      rgb[at + 1] = (rgb[at + 1] * keep + 128) >> 8;
      rgb[at + 2] = (rgb[at + 2] * keep + 128) >> 8;
    }
  }
}

/** How one frame of a sprite lies on the canvas. */
export interface Placement {
  /** Where the middle of the sprite's extent comes to lie, in canvas pixels. */
  readonly centreX: number;
  readonly centreY: number;
  /** Canvas pixels per level pixel along the sprite's own axes; negative mirrors. Never 0. */
  readonly scaleX: number;
  readonly scaleY: number;
  /** Radians, clockwise. */
  readonly rotation: number;
  readonly opacity: number;
  /** Factor of each colour channel. */
  readonly gain: readonly number[];
}

/**
 * Paints one frame of a sprite over the canvas: inverse mapping, bilinear on premultiplied pixels, several taps
 * along an axis that is strongly reduced (a spinning subject seen edge-on).
 * @param middleX the point of the level's pixel grid that comes to lie at the placement's centre.
 */
export function paintSprite(
  canvas: Canvas,
  level: SpriteLevel,
  frame: number,
  middleX: number,
  middleY: number,
  placement: Placement,
): void {
  const { rgb, mask } = canvas;
  const { width, height, pixels } = level;
  const base = frame * width * height * 4;
  const cos = Math.cos(placement.rotation);
  const sin = Math.sin(placement.rotation);
  const { scaleX, scaleY, centreX, centreY } = placement;
  // Corners of the level's rectangle on the canvas bound the pixels to visit.
  const reachX = Math.max(middleX, width - middleX) * Math.abs(scaleX);
  const reachY = Math.max(middleY, height - middleY) * Math.abs(scaleY);
  const boundX = reachX * Math.abs(cos) + reachY * Math.abs(sin);
  const boundY = reachX * Math.abs(sin) + reachY * Math.abs(cos);
  const left = Math.max(Math.floor(centreX - boundX), 0);
  const right = Math.min(Math.ceil(centreX + boundX), CLIP_SIZE);
  const top = Math.max(Math.floor(centreY - boundY), 0);
  const bottom = Math.min(Math.ceil(centreY + boundY), CLIP_SIZE);
  // Source steps for one canvas pixel to the right (and, by symmetry, down).
  const uPerX = cos / scaleX;
  const vPerX = -sin / scaleY;
  const uPerY = sin / scaleX;
  const vPerY = cos / scaleY;
  const taps = Math.min(
    Math.max(1, Math.round(Math.max(1 / Math.abs(scaleX), 1 / Math.abs(scaleY)) / 1.6)),
    6,
  );
  // Taps spread along the reduced axis, expressed in canvas pixels.
  const alongX = Math.abs(scaleX) < Math.abs(scaleY) ? cos : -sin;
  const alongY = Math.abs(scaleX) < Math.abs(scaleY) ? sin : cos;
  const gainRed = Math.round((placement.gain[0] * FIXED) / taps);
  const gainGreen = Math.round((placement.gain[1] * FIXED) / taps);
  const gainBlue = Math.round((placement.gain[2] * FIXED) / taps);
  const opacity = Math.round((placement.opacity * FIXED) / taps);

  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      let red = 0;
      let green = 0;
      let blue = 0;
      let alpha = 0;
      for (let tap = 0; tap < taps; tap++) {
        const spread = (tap + 0.5) / taps - 0.5;
        const dx = x + 0.5 + spread * alongX - centreX;
        const dy = y + 0.5 + spread * alongY - centreY;
        const u = dx * uPerX + dy * uPerY + middleX - 0.5;
        const v = dx * vPerX + dy * vPerY + middleY - 0.5;
        // The border is transparent, so a sample needs no part of what lies beyond it.
        if (u <= 0 || v <= 0 || u >= width - 1 || v >= height - 1) continue;
        const column = u | 0;
        const row = v | 0;
        const shareX = ((u - column) * FIXED) | 0;
        const shareY = ((v - row) * FIXED) | 0;
        const w3 = (shareX * shareY) >> 8;
        const w2 = shareY - w3;
        const w1 = shareX - w3;
        const w0 = FIXED - shareX - w2;
        const a = base + (row * width + column) * 4;
        const b = a + width * 4;
        const sampleAlpha = pixels[a + 3] * w0 + pixels[a + 7] * w1 + pixels[b + 3] * w2 + pixels[b + 7] * w3;
        if (sampleAlpha === 0) continue;
        alpha += sampleAlpha;
        red += pixels[a] * w0 + pixels[a + 4] * w1 + pixels[b] * w2 + pixels[b + 4] * w3;
        green += pixels[a + 1] * w0 + pixels[a + 5] * w1 + pixels[b + 1] * w2 + pixels[b + 5] * w3;
        blue += pixels[a + 2] * w0 + pixels[a + 6] * w1 + pixels[b + 2] * w2 + pixels[b + 6] * w3;
      }
      // Sums are bytes × 256 × taps; gains and opacity carry 256 / taps.
      const cover = Math.min((((alpha >> 8) * opacity) >> 8) as number, 255);
      if (cover === 0) continue;
      const keep = 255 - cover;
      const to = (y * CLIP_SIZE + x) * 3;
      const shade = placement.opacity;
      rgb[to] = Math.min(255, div255(rgb[to] * keep) + (((red >> 8) * gainRed) >> 8) * shade);
      rgb[to + 1] = Math.min(255, div255(rgb[to + 1] * keep) + (((green >> 8) * gainGreen) >> 8) * shade);
      rgb[to + 2] = Math.min(255, div255(rgb[to + 2] * keep) + (((blue >> 8) * gainBlue) >> 8) * shade);
      mask[y * CLIP_SIZE + x] = Math.max(mask[y * CLIP_SIZE + x], cover);
    }
  }
}

/** Rounded division by 255 of a number below 65536. */
function div255(value: number): number {
  return (value + 128 + ((value + 128) >> 8)) >> 8;
}
