import * as g from '../../../graph/index.ts';
import { type Frames, mapFrames, stackFrames } from '../../../nn/frames.ts';
import type { ParameterScope } from '../../../nn/parameters.ts';
import type { Probe } from '../../probe.ts';
import { type BlockContext, downsample, residualBlock } from './blocks.ts';
import { Continuation } from './causal.ts';
import type { VaeConfig } from './config.ts';
import { groupNorm } from './norm.ts';

/** How a half of the VAE is traced. */
export interface HalfOptions extends Pick<BlockContext, 'region' | 'isSilent'> {
  /** Default: the first batch of a video. */
  readonly continuation?: Continuation;
  readonly probe?: Probe | undefined;
}

/** Residual blocks between the two halves' resolutions. */
export const MID_BLOCKS = 2;
/** Upstream fixes the last norm's ε, whatever norm_eps says. */
const LAST_EPSILON = 1e-6;

/**
 * One batch of frames [B, 3, H, W] → moments [B, 2C, h, w] of its latent frames: mean, then log-variance
 * (diffusers CogVideoXEncoder3D). `scope` is the encoder's; `continuation` carries the convolution caches.
 */
export function vaeEncoder(
  config: VaeConfig,
  scope: ParameterScope,
  frames: Frames,
  { continuation = new Continuation(), probe, region, isSilent }: HalfOptions = {},
): Frames {
  const { channels, normGroups, normEpsilon } = config;
  const context: BlockContext = { continuation, norm: groupNorm(normGroups, normEpsilon), region, isSilent };
  const timeLevels = Math.log2(config.temporalCompression);
  let x = continuation.convolve(scope.at('conv_in'), frames, channels[0]);
  probe?.('conv_in', stackFrames(x));
  for (const [level, width] of channels.entries()) {
    const at = scope.at('down_blocks', level);
    for (let i = 0; i < config.layersPerBlock; i++) x = residualBlock(context, at.at('resnets', i), x, width);
    if (level < channels.length - 1) x = downsample(at.at('downsamplers', 0), x, level < timeLevels);
    probe?.(`down_blocks.${level}`, stackFrames(x));
  }
  const width = channels[channels.length - 1];
  for (let i = 0; i < MID_BLOCKS; i++)
    x = residualBlock(context, scope.at('mid_block', 'resnets', i), x, width);
  probe?.('mid_block', stackFrames(x));
  const normed = groupNorm(normGroups, LAST_EPSILON)(scope.at('norm_out'), x);
  probe?.('norm_out', stackFrames(normed));
  const moments = continuation.convolve(
    scope.at('conv_out'),
    mapFrames(normed, g.silu),
    2 * config.latentChannels,
  );
  probe?.('conv_out', stackFrames(moments));
  return moments;
}
