import { type FramePair, type Frames, frameOf, meanAbsoluteDifference, requireFrames } from './frames.ts';
import type { EncoderIdentity, MetricValue } from './metric.ts';

/** Makes the picture between two pictures. */
export interface FrameInterpolator {
  readonly identity: EncoderIdentity;
  /** For each pair the frame half-way between, u8 [P, H, W, 3]. */
  midpoints(frames: Frames, pairs: readonly FramePair[], signal?: AbortSignal): Promise<Frames>;
  release(): Promise<void>;
}

/** The even frames, pair by pair, that enclose an odd one. An even-length clip's last frame has no pair. */
export function enclosingPairs(count: number): FramePair[] {
  return Array.from({ length: Math.floor((count - 1) / 2) }, (_, i) => [2 * i, 2 * i + 2]);
}

/**
 * Motion Smoothness: odd frames are dropped, made again from their neighbours and compared with what they were:
 * (255 − mean absolute difference) / 255 (VBench motion_smoothness.py).
 */
export async function motionSmoothness(
  frames: Frames,
  interpolator: FrameInterpolator,
  signal?: AbortSignal,
): Promise<MetricValue> {
  requireFrames('MS', frames, 3);
  const [count, height, width] = frames.shape;
  const pairs = enclosingPairs(count);
  const made = await interpolator.midpoints(frames, pairs, signal);
  let sum = 0;
  for (const [i, [before]] of pairs.entries()) {
    sum += meanAbsoluteDifference(frameOf(frames, before + 1), frameOf(made, i));
  }
  return {
    metric: 'motion-smoothness',
    value: (255 - sum / pairs.length) / 255,
    encoder: interpolator.identity,
    settings: { width, height },
  };
}
