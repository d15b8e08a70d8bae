import type { Value } from '../../../graph/index.ts';
import * as g from '../../../graph/index.ts';
import { pointwise } from '../../../nn/convolution.ts';
import { type Frames, mapFrames, zipFrames } from '../../../nn/frames.ts';
import type { ParameterScope } from '../../../nn/parameters.ts';
import { ShapeError } from '../../../tensor/errors.ts';

/** A normalization of a clip's frames under a scope. */
export type Norm = (scope: ParameterScope, frames: Frames) => Frames;

/** GroupNorm with statistics over all given frames, and gain and shift per channel. */
export function groupNorm(groups: number, epsilon: number): Norm {
  return (scope, frames) => {
    const channels = frames[0].shape[1];
    const gain = g.reshape(scope.get('weight', [channels]), [channels, 1, 1]);
    const shift = g.reshape(scope.get('bias', [channels]), [channels, 1, 1]);
    const normalized = g.groupNormalize(frames, groups, epsilon);
    return mapFrames(normalized, (frame) => g.add(g.mul(frame, gain), shift));
  };
}

/** Upstream fixes it here, whatever norm_eps says. */
const SPATIAL_EPSILON = 1e-6;

/**
 * GroupNorm whose gain and shift come from the latents (diffusers CogVideoXSpatialNorm3D, after MoVQ):
 * (x̂·γ + β)·Y(z) + B(z), where Y and B are 1 × 1 convolutions of the latents, brought to the frames' size by
 * nearest neighbours. Since those commute with 1 × 1 convolutions, gain γ·Y(z) and shift β·Y(z) + B(z) are
 * computed at the latents' size.
 */
export function spatialNorm(latents: Frames, groups: number): Norm {
  const [batch, latentChannels, height, width] = latents[0].shape;
  const together = g.concat(latents, 0); // [f·B, C, h, w]
  return (scope, frames) => {
    const [, channels, frameHeight, frameWidth] = frames[0].shape;
    const factor = frameHeight / height;
    if (frameWidth / width !== factor || !Number.isInteger(factor)) {
      throw new ShapeError({
        where: scope.path,
        expected: `frames a whole multiple of ${height} × ${width}`,
        got: `${frameHeight} × ${frameWidth}`,
      });
    }
    const kernel = (name: string) =>
      g.reshape(scope.at(name, 'conv').get('weight', [channels, latentChannels, 1, 1, 1]), [
        channels,
        latentChannels,
      ]);
    const offset = (name: string) => scope.at(name, 'conv').get('bias', [channels]);
    const gain = scope.at('norm_layer').get('weight', [channels]);
    const shift = scope.at('norm_layer').get('bias', [channels]);
    const column = (x: Value) => g.reshape(x, [channels, 1]);
    const gains = pointwise(together, g.mul(kernel('conv_y'), column(gain)), g.mul(offset('conv_y'), gain));
    const shifts = pointwise(
      together,
      g.add(g.mul(kernel('conv_y'), column(shift)), kernel('conv_b')),
      g.add(g.mul(offset('conv_y'), shift), offset('conv_b')),
    );
    const large = (all: Value, f: number) =>
      g.upsampleNearest(g.slice(all, 0, f * batch, (f + 1) * batch), factor);
    const perLatent = latents.map((_, f) => ({ gain: large(gains, f), shift: large(shifts, f) }));
    const seen = latentIndices(frames.length, latents.length).map((f) => perLatent[f]);
    const normalized = g.groupNormalize(frames, groups, SPATIAL_EPSILON);
    const scaled = zipFrames(
      normalized,
      seen.map(({ gain }) => gain),
      g.mul,
    );
    return zipFrames(
      scaled,
      seen.map(({ shift }) => shift),
      g.add,
    );
  };
}

/** The latent frame that each frame is conditioned on; in an odd batch the first frame has its own. */
export function latentIndices(frames: number, latents: number): number[] {
  if (frames === 1 || frames % 2 === 0) {
    return Array.from({ length: frames }, (_, f) => Math.floor((f * latents) / frames));
  }
  const rest = Array.from(
    { length: frames - 1 },
    (_, f) => 1 + Math.floor((f * (latents - 1)) / (frames - 1)),
  );
  return [0, ...rest];
}
