import * as g from '../../../graph/index.ts';
import { type Frames, mapFrames, stackFrames } from '../../../nn/frames.ts';
import type { ParameterScope } from '../../../nn/parameters.ts';
import { type BlockContext, residualBlock, upsample } from './blocks.ts';
import { Continuation } from './causal.ts';
import type { VaeConfig } from './config.ts';
import { type HalfOptions, MID_BLOCKS } from './encoder.ts';
import { spatialNorm } from './norm.ts';

/**
 * One batch of latent frames [B, C, h, w] → pixel frames [B, 3, H, W] (diffusers CogVideoXDecoder3D):
 * 1 + 4·(f − 1) of them where f is odd, 4·f where it is even. `scope` is the decoder's.
 */
export function vaeDecoder(
  config: VaeConfig,
  scope: ParameterScope,
  latents: Frames,
  { continuation = new Continuation(), probe, region, isSilent }: HalfOptions = {},
): Frames {
  const channels = [...config.channels].reverse();
  const norm = spatialNorm(latents, config.normGroups);
  const context: BlockContext = { continuation, norm, region, isSilent };
  const timeLevels = Math.log2(config.temporalCompression);
  let x = continuation.convolve(scope.at('conv_in'), latents, channels[0]);
  probe?.('conv_in', stackFrames(x));
  for (let i = 0; i < MID_BLOCKS; i++) {
    x = residualBlock(context, scope.at('mid_block', 'resnets', i), x, channels[0]);
  }
  probe?.('mid_block', stackFrames(x));
  for (const [level, width] of channels.entries()) {
    const at = scope.at('up_blocks', level);
    for (let i = 0; i <= config.layersPerBlock; i++)
      x = residualBlock(context, at.at('resnets', i), x, width);
    if (level < channels.length - 1) x = upsample(at.at('upsamplers', 0), x, level < timeLevels);
    probe?.(`up_blocks.${level}`, stackFrames(x));
  }
  const normed = norm(scope.at('norm_out'), x);
  probe?.('norm_out', stackFrames(normed));
  return continuation.convolve(scope.at('conv_out'), mapFrames(normed, g.silu), config.outChannels);
}
