import * as g from '../../../graph/index.ts';
import { conv2dFrames, pointwise } from '../../../nn/convolution.ts';
import { type Frames, mapFrames, zipFrames } from '../../../nn/frames.ts';
import type { ParameterScope } from '../../../nn/parameters.ts';
import type { Continuation } from './causal.ts';
import type { Norm } from './norm.ts';

/** What the blocks of one half of the VAE share. */
export interface BlockContext {
  readonly continuation: Continuation;
  readonly norm: Norm;
  /** Traces a residual block; g.checkpoint computes it again in the backward pass instead of keeping it. */
  readonly region?: (<T>(trace: () => T) => T) | undefined;
  /** Which residual blocks, by their path, are their skips alone (see {@link silentBranches}). */
  readonly isSilent?: ((path: string) => boolean) | undefined;
}

/** Two causal convolutions around a skip (diffusers CogVideoXResnetBlock3D). */
export function residualBlock(
  context: BlockContext,
  scope: ParameterScope,
  frames: Frames,
  out: number,
): Frames {
  if (context.isSilent?.(scope.path)) return skipped(scope, frames, out);
  const trace = () => traceResidualBlock(context, scope, frames, out);
  return context.region ? context.region(trace) : trace();
}

function traceResidualBlock(
  { continuation, norm }: BlockContext,
  scope: ParameterScope,
  frames: Frames,
  out: number,
): Frames {
  const inner = continuation.convolve(
    scope.at('conv1'),
    mapFrames(norm(scope.at('norm1'), frames), g.silu),
    out,
  );
  const outer = continuation.convolve(
    scope.at('conv2'),
    mapFrames(norm(scope.at('norm2'), inner), g.silu),
    out,
  );
  return zipFrames(outer, skipped(scope, frames, out), g.add);
}

function skipped(scope: ParameterScope, frames: Frames, out: number): Frames {
  const channels = frames[0].shape[1];
  if (channels === out) return frames;
  const shortcut = scope.at('conv_shortcut');
  const weight = g.reshape(shortcut.get('weight', [out, channels, 1, 1, 1]), [out, channels]);
  const bias = shortcut.get('bias', [out]);
  return mapFrames(frames, (frame) => pointwise(frame, weight, bias));
}

/** Halves the size, and with `time` the frame rate (diffusers CogVideoXDownsample3D). */
export function downsample(scope: ParameterScope, frames: Frames, time: boolean): Frames {
  const slower = time ? halveFrameRate(frames) : frames;
  const padding = [0, 0, 1, 1] as const;
  return conv2dFrames(scope.at('conv'), slower, frames[0].shape[1], 3, { stride: 2, padding });
}

/** Means of pairs of frames; an odd batch keeps its first frame. */
export function halveFrameRate(frames: Frames): Frames {
  const first = frames.slice(0, frames.length % 2);
  const pairs = Array.from({ length: Math.floor(frames.length / 2) }, (_, i) => first.length + 2 * i);
  return [...first, ...pairs.map((i) => g.mul(g.add(frames[i], frames[i + 1]), 0.5))];
}

/** Doubles the size, and with `time` the frame rate (diffusers CogVideoXUpsample3D). */
export function upsample(scope: ParameterScope, frames: Frames, time: boolean): Frames {
  const faster = time ? doubleFrameRate(frames) : frames;
  const larger = mapFrames(faster, (frame) => g.upsampleNearest(frame, 2));
  return conv2dFrames(scope.at('conv'), larger, frames[0].shape[1], 3, { padding: 1 });
}

/** Every frame twice; an odd batch shows its first frame once. */
export function doubleFrameRate(frames: Frames): Frames {
  const first = frames.slice(0, frames.length % 2);
  return [...first, ...frames.slice(first.length).flatMap((frame) => [frame, frame])];
}
