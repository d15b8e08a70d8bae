import * as g from '../src/graph/index.ts';
import { parseVaeConfig, type VaeConfig, vaeTrainingForward } from '../src/models/cogvideox/vae/index.ts';
import { Parameters } from '../src/nn/parameters.ts';
import { GRADIENT_PREFIX } from '../src/runtime/index.ts';
import type { Shape } from '../src/tensor/shape.ts';

/** The training step that is measured: a narrow CogVideoX VAE as Toybox's, on clips of 64 × 64 pixels. */
export interface VaeJobSize {
  readonly channels: readonly number[];
  readonly layersPerBlock: number;
  readonly latentChannels: number;
  readonly groups: number;
  readonly batch: number;
  /** Pixel frames: 1, 9 or 17. */
  readonly frames: number;
  readonly side: number;
}

export const TOYBOX_VAE: VaeJobSize = {
  channels: [32, 64, 64, 64],
  layersPerBlock: 1,
  latentChannels: 16,
  groups: 8,
  batch: 4,
  frames: 9,
  side: 64,
};

export const OPTIMIZER = {
  betas: [0.9, 0.95],
  epsilon: 1e-8,
  weightDecay: 1e-4,
  maxGradientNorm: 1,
} as const;
export const LEARNING_RATE = 1e-4;
/** Weight of the Kullback–Leibler term. */
export const KL_WEIGHT = 1e-6;

export function configOf({ channels, layersPerBlock, latentChannels, groups, side }: VaeJobSize): VaeConfig {
  return parseVaeConfig({
    block_out_channels: channels,
    layers_per_block: layersPerBlock,
    latent_channels: latentChannels,
    norm_num_groups: groups,
    sample_height: side,
    sample_width: side,
  });
}

export function shapesOf(size: VaeJobSize): { video: Shape; noise: Shape } {
  const { batch, frames, side, latentChannels } = size;
  const { temporalCompression, spatialCompression } = configOf(size);
  const latentSide = side / spatialCompression;
  return {
    video: [batch, frames, 3, side, side],
    noise: [batch, 1 + (frames - 1) / temporalCompression, latentChannels, latentSide, latentSide],
  };
}

export interface VaeJob {
  readonly program: g.Program;
  readonly trainable: ReadonlyMap<string, Shape>;
}

/** Squared error of the reconstruction plus a little KL, and the gradients of all weights. */
export function traceVaeJob(size: VaeJobSize, { checkpointed = false } = {}): VaeJob {
  const parameters = new Parameters(() => true);
  const shapes = shapesOf(size);
  const video = g.input('video', shapes.video);
  const noise = g.input('noise', shapes.noise);
  const result = vaeTrainingForward(configOf(size), parameters.root, video, noise, { checkpointed });
  const { reconstruction, mean, logvar } = result;
  const error = g.mean(g.square(g.sub(reconstruction, video)));
  const divergence = g.mean(g.sub(g.add(g.square(mean), g.exp(logvar)), g.add(logvar, 1)));
  const loss = g.add(error, g.mul(divergence, 0.5 * KL_WEIGHT));
  const declared = [...parameters.declared];
  const gradients = g.gradients(
    loss,
    declared.map(([, { value }]) => value),
  );
  const outputs: Record<string, g.Value> = { loss };
  for (const [i, [name]] of declared.entries()) outputs[GRADIENT_PREFIX + name] = gradients[i]!;
  const trainable = new Map(declared.map(([name, { shape }]) => [name, shape]));
  return { program: g.program('vae training step', outputs), trainable };
}
