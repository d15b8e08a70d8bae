import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import {
  silentBranches,
  type VaeConfig,
  type VaeTrainingResult,
  vaeParameters,
  vaeTrainingForward,
} from '../../models/cogvideox/vae/index.ts';
import { Parameters } from '../../nn/parameters.ts';
import { scalar } from '../../tensor/host-tensor.ts';
import { SIDE } from './configs.ts';
import { gradientProgram } from './gradient-program.ts';
import { initialParameters } from './initialize.ts';
import { principalCascade, principalEncoder } from './principal-encoder.ts';
import type { BatchRequest, PretrainingTask, TensorTable } from './task.ts';
import { vaeVariant } from './vae-configs.ts';
import { openVaeReview } from './vae-review.ts';

/**
 * CogVideoX's VAE on rendered clips and single pictures. The encoder is the best linear code of the universe
 * (see {@link principalEncoder}), set before training; the decoder learns: squared error with the subject's
 * surroundings weighted up (input `…Weight`, mean 1), and the same for the differences of successive frames
 * (against flicker). No adversarial or perceptual term: the bars are PSNR.
 */
export function vaeTask({ cacheFolder, variant, batch, seed }: BatchRequest): PretrainingTask {
  const { config, recipe, frames, clipSide, pictures, changeWeight } = vaeVariant(variant);
  const clips = batch ?? recipe.batch;
  const initial = initialVae(config, seed);
  const encoder = principalEncoder(config, initial, principalCascade(cacheFolder, config));
  const isSilent = silentBranches(encoder);
  const parameters = new Parameters((path) => path.startsWith('decoder.'));
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
    const result = vaeTrainingForward(config, parameters.root, video, noise, { isSilent });
    return { result, video, weight };
  };
  const clip = part('clip', clips, frames, clipSide);
  const picture = part('picture', pictures, 1, SIDE);
  const error = (of: typeof clip) =>
    g.mean(g.mul(g.square(g.sub(of.result.reconstruction, of.video)), of.weight));
  const clipError = error(clip);
  const pictureError = error(picture);
  const change = changeError(clip, frames);
  const loss = [clipError, g.mul(pictureError, 0.25), g.mul(change, changeWeight)].reduce(g.add);
  return {
    recipe: { ...recipe, batch: clips },
    program: gradientProgram('pretrain-vae', parameters, { loss, clipError, pictureError, change }),
    trainable: new Map([...parameters.declared].filter(([, { trainable }]) => trainable)),
    frozen: encoder,
    fixed: encoder,
    carried: () => new Map(),
    initialize: () => new Map([...initial].filter(([name]) => !encoder.has(name))),
    openReview: (runtime) => openVaeReview(runtime, cacheFolder, config),
  };
}

/** Mean squared error of the differences between successive frames; 0 for single pictures. */
function changeError({ result, video }: { result: VaeTrainingResult; video: Value }, frames: number): Value {
  if (frames === 1) return g.constant(scalar(0));
  const error = g.sub(result.reconstruction, video);
  return g.mean(g.square(g.sub(g.slice(error, 1, 1, frames), g.slice(error, 1, 0, frames - 1))));
}

function initialVae(config: VaeConfig, seed: number): TensorTable {
  const all = new Parameters();
  vaeParameters(config, all.root);
  return initialParameters(all.declared, seed, [
    // The decoder's norms start as plain ones, whatever the latents are.
    [/conv_[yb]\.conv\.weight$/, { std: 0.02 }],
    [/conv_y\.conv\.bias$/, { constant: 1 }],
    // Residual branches start small.
    [/conv2\.conv\.weight$/, { std: 1e-3 }],
  ]);
}
