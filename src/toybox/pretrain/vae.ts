import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import { type VaeTrainingResult, vaeTrainingForward } from '../../models/cogvideox/vae/index.ts';
import { Parameters } from '../../nn/parameters.ts';
import { scalar } from '../../tensor/host-tensor.ts';
import type { Shape } from '../../tensor/shape.ts';
import { SIDE } from './configs.ts';
import { gradientProgram } from './gradient-program.ts';
import { initialParameters } from './initialize.ts';
import type { BatchRequest, PretrainingTask, TensorTable } from './task.ts';
import { vaeVariant } from './vae-configs.ts';
import { openVaeReview } from './vae-review.ts';

/**
 * CogVideoX's VAE on rendered clips and single pictures: squared error with the subject's surroundings
 * weighted up (input `…Weight`, mean 1), the same for the differences of successive frames (against
 * flicker), and a small KL term that keeps latents near a unit normal. No adversarial or perceptual term:
 * the bars are PSNR.
 */
export function vaeTask({ cacheFolder, variant, batch }: BatchRequest): PretrainingTask {
  const { config, recipe, frames, clipSide, pictures, klWeight, changeWeight } = vaeVariant(variant);
  const clips = batch ?? recipe.batch;
  const parameters = new Parameters(() => true);
  const part = (name: string, count: number, frameCount: number, side: number) => {
    const latentSide = side / config.spatialCompression;
    const latentFrames = 1 + (frameCount - 1) / config.temporalCompression;
    const video = g.input(name, [count, frameCount, 3, side, side]);
    const noise = g.input(`${name}Noise`, [
      count,
      latentFrames,
      config.latentChannels,
      latentSide,
      latentSide,
    ]);
    const weight = g.input(`${name}Weight`, [count, frameCount, 1, side, side]);
    const result = vaeTrainingForward(config, parameters.root, video, noise);
    return { result, video, weight };
  };
  const clip = part('clip', clips, frames, clipSide);
  const picture = part('picture', pictures, 1, SIDE);
  const error = (of: typeof clip) =>
    g.mean(g.mul(g.square(g.sub(of.result.reconstruction, of.video)), of.weight));
  const clipError = error(clip);
  const pictureError = error(picture);
  const change = changeError(clip, frames);
  const kl = g.mul(0.5, g.add(divergence(clip.result), divergence(picture.result)));
  const loss = [
    clipError,
    g.mul(pictureError, 0.25),
    g.mul(change, changeWeight),
    g.mul(kl, klWeight),
  ].reduce(g.add);
  return {
    recipe: { ...recipe, batch: clips },
    program: gradientProgram('pretrain-vae', parameters, { loss, clipError, pictureError, change, kl }),
    trainable: parameters.declared,
    frozen: new Map(),
    carried: () => new Map(),
    initialize: (seed) => initialVae(parameters.declared, seed, config.latentChannels),
    openReview: (runtime) => openVaeReview(runtime, cacheFolder, config),
  };
}

/** Mean squared error of the differences between successive frames; 0 for single pictures. */
function changeError({ result, video }: { result: VaeTrainingResult; video: Value }, frames: number): Value {
  if (frames === 1) return g.constant(scalar(0));
  const error = g.sub(result.reconstruction, video);
  return g.mean(g.square(g.sub(g.slice(error, 1, 1, frames), g.slice(error, 1, 0, frames - 1))));
}

/** Log-variance of latents at the start: their noise must not drown what the decoder is to learn from. */
const FIRST_LOGVAR = -6;

function initialVae(
  shapes: ReadonlyMap<string, { readonly shape: Shape }>,
  seed: number,
  latentChannels: number,
): TensorTable {
  const initial = initialParameters(shapes, seed, [
    // The decoder's norms start as plain ones, whatever the latents are.
    [/conv_[yb]\.conv\.weight$/, { std: 0.02 }],
    [/conv_y\.conv\.bias$/, { constant: 1 }],
    // Residual branches start small.
    [/conv2\.conv\.weight$/, { std: 1e-3 }],
  ]);
  const [weight, bias] = ['weight', 'bias'].map((name) => initial.get(`encoder.conv_out.conv.${name}`)!);
  const weights = weight.data as Float32Array;
  weights.fill(0, weights.length / 2);
  (bias.data as Float32Array).fill(FIRST_LOGVAR, latentChannels);
  return initial;
}

/** Mean over elements of KL(N(μ, σ²) ‖ N(0, 1)). */
function divergence({ mean, logvar }: VaeTrainingResult): Value {
  const terms = g.sub(g.add(g.square(mean), g.exp(logvar)), g.add(logvar, 1));
  return g.mul(0.5, g.mean(terms));
}
