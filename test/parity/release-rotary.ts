/**
 * The token grid over which the release's trainer and pipeline spread rotary positions whatever the size of
 * the video: that of 480 × 720 pixels. `downscale` is pixels per latent of the VAE.
 */
export function releaseRotaryBase(patch: number, downscale = 8): { rows: number; columns: number } {
  return { rows: Math.floor(480 / (downscale * patch)), columns: Math.floor(720 / (downscale * patch)) };
}
