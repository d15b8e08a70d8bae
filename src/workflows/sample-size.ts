import { DualrealError } from '../tensor/errors.ts';

/** A video size that the base cannot work at. */
export class SampleSizeError extends DualrealError {}

export interface SizeRule {
  /** Pixels per token, in both directions: the VAE's compression times the transformer's patch. */
  readonly pixelsPerToken: number;
  /** Pixel frames per latent frame after the first: frames are ratio·k + 1. */
  readonly temporalRatio: number;
}

/** Throws {@link SampleSizeError} for the first of width, height and frames that the base cannot take. */
export function requireSampleSize(
  { width, height, frames }: { readonly width: number; readonly height: number; readonly frames: number },
  { pixelsPerToken, temporalRatio }: SizeRule,
): void {
  const sides = { width, height };
  for (const [option, pixels] of Object.entries(sides)) {
    if (pixels % pixelsPerToken === 0) continue;
    throw new SampleSizeError({
      where: `option --${option}`,
      expected: `a multiple of ${pixelsPerToken} pixels for this base`,
      got: String(pixels),
      hint: `use ${nearest(pixels, pixelsPerToken, 0)}`,
    });
  }
  if ((frames - 1) % temporalRatio === 0) return;
  throw new SampleSizeError({
    where: 'option --frames',
    expected: `${temporalRatio}k + 1 frames for this base`,
    got: String(frames),
    hint: `use ${nearest(frames, temporalRatio, 1)}`,
  });
}

/** "32 or 40": the allowed numbers around one that is not. */
function nearest(value: number, step: number, offset: number): string {
  const below = Math.floor((value - offset) / step) * step + offset;
  return below > 0 ? `${below} or ${below + step}` : `${below + step}`;
}
