import type { Value } from '../../../graph/index.ts';
import * as g from '../../../graph/index.ts';
import { stackFrames, unstackFrames } from '../../../nn/frames.ts';
import type { ParameterScope } from '../../../nn/parameters.ts';
import { ShapeError } from '../../../tensor/errors.ts';
import { latentFrameCount, pixelFrameCount } from './batches.ts';
import type { VaeConfig } from './config.ts';
import { vaeDecoder } from './decoder.ts';
import { vaeEncoder } from './encoder.ts';

export interface VaeTrainingResult {
  /** [B, F, 3, H, W]. */
  readonly reconstruction: Value;
  /** [B, f, C, h, w]. */
  readonly mean: Value;
  /** [B, f, C, h, w], clamped to [−30, 20]. */
  readonly logvar: Value;
}

export interface VaeTrainingOptions {
  /** The backward pass computes residual blocks again, for less memory. */
  readonly checkpointed?: boolean;
  /** Residual blocks that are left out because they add nothing and are to stay so. */
  readonly isSilent?: ((path: string) => boolean) | undefined;
}

/**
 * Encode, sample with the given standard normal `noise` [B, f, C, h, w], decode: a short video
 * [B, F, 3, H, W] as one batch, without caches. F must come back as F: 1, 9 or 17 frames where c is 4, not 5,
 * which become two latent frames and then eight frames. Differentiable in every parameter.
 */
export function vaeTrainingForward(
  config: VaeConfig,
  scope: ParameterScope,
  video: Value,
  noise: Value,
  { checkpointed = false, isSilent }: VaeTrainingOptions = {},
): VaeTrainingResult {
  const frameCount = video.shape[1];
  const decoded = pixelFrameCount(
    latentFrameCount(frameCount, config.temporalCompression),
    config.temporalCompression,
  );
  if (decoded !== frameCount) {
    throw new ShapeError({
      where: 'video to train the VAE on',
      expected: 'as many frames as are decoded again',
      got: `${frameCount} frames, of which ${decoded} would be decoded`,
      hint: 'an odd number of latent frames decodes to as many frames as went in (1, 9 or 17 for four-fold)',
    });
  }
  const options = { isSilent, ...(checkpointed && { region: g.checkpoint }) };
  const moments = vaeEncoder(config, scope.at('encoder'), unstackFrames(video), options);
  const means = moments.map((frame) => g.slice(frame, 1, 0, config.latentChannels));
  const logvars = moments.map((frame) =>
    g.clamp(g.slice(frame, 1, config.latentChannels, 2 * config.latentChannels), -30, 20),
  );
  const draws = unstackFrames(noise);
  const latents = means.map((mean, f) => g.add(mean, g.mul(g.exp(g.mul(logvars[f], 0.5)), draws[f])));
  const frames = vaeDecoder(config, scope.at('decoder'), latents, options);
  return {
    reconstruction: stackFrames(frames),
    mean: stackFrames(means),
    logvar: stackFrames(logvars),
  };
}
