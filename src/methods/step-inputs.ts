import { ShapeError } from '../tensor/errors.ts';
import { type FloatTensor, floats, type HostTensor } from '../tensor/host-tensor.ts';
import type { RandomStream } from '../tensor/random.ts';
import { formatShape } from '../tensor/shape.ts';

/**
 * Noise [B, f, C, h, w] plus `strength` times one normal number for each sample, frame and channel, which
 * teaches and makes changes of the mean (VGen tools/modules/diffusions, noise_strength).
 */
export function offsetNoise(noise: FloatTensor, strength: number, stream: RandomStream): FloatTensor {
  const [batch, frames, channels, height, width] = noise.shape;
  const positions = height * width;
  const shifts = stream.normals(batch * frames * channels);
  return floats(
    noise.shape,
    noise.data.map((value, i) => value + strength * shifts[Math.floor(i / positions)]),
  );
}

/**
 * A subject mask [F, H, W] (subject > 0) on the latent grid, [f, 1, h, w] of ones and zeros. A cell belongs
 * to the subject where the bilinear sample at its centre does not vanish (MotionBooth, scripts/utils.py), in
 * any of the frames that a latent frame stands for: the first alone, then `temporalRatio` each.
 */
export function latentMask(
  mask: HostTensor,
  latent: { readonly frames: number; readonly height: number; readonly width: number },
  temporalRatio: number,
): FloatTensor {
  const [frames, height, width] = mask.shape;
  if (mask.shape.length !== 3 || frames !== 1 + (latent.frames - 1) * temporalRatio) {
    throw new ShapeError({
      where: 'subject mask',
      expected: `[${1 + (latent.frames - 1) * temporalRatio}, H, W] for ${latent.frames} latent frames`,
      got: formatShape(mask.shape),
    });
  }
  const rows = sampledBy(latent.height, height);
  const columns = sampledBy(latent.width, width);
  const out = new Float32Array(latent.frames * latent.height * latent.width);
  for (let frame = 0; frame < frames; frame++) {
    const plane = Math.ceil(frame / temporalRatio) * latent.height * latent.width;
    for (const [row, ys] of rows.entries()) {
      for (const [column, xs] of columns.entries()) {
        const touches = ys.some((y) =>
          xs.some((x) => Number(mask.data[(frame * height + y) * width + x]) > 0),
        );
        if (touches) out[plane + row * latent.width + column] = 1;
      }
    }
  }
  return floats([latent.frames, 1, latent.height, latent.width], out);
}

/** For each cell, the pixels of which a bilinear sample at its centre is made. */
function sampledBy(cells: number, pixels: number): number[][] {
  return Array.from({ length: cells }, (_, cell) => {
    const centre = Math.max(0, ((cell + 0.5) * pixels) / cells - 0.5);
    const lower = Math.floor(centre);
    return centre > lower && lower + 1 < pixels ? [lower, lower + 1] : [lower];
  });
}
