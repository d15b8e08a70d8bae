import type { FloatTensor } from '../../tensor/host-tensor.ts';
import type { FramePair, Frames } from '../frames.ts';
import type { EncoderIdentity } from '../metric.ts';

/** Optical flow of pairs of frames, with what estimated it. */
export interface Flows {
  /** [P, H, W, 2]: where each pixel of the first frame went, (x, y) in pixels, x to the right and y down. */
  readonly fields: FloatTensor;
  readonly estimator: EncoderIdentity;
}

export interface FlowEstimator {
  readonly identity: EncoderIdentity;
  estimate(frames: Frames, pairs: readonly FramePair[], signal?: AbortSignal): Promise<Flows>;
  release(): Promise<void>;
}

/** One pair's field, [H · W · 2]. */
export function fieldOf({ fields }: Flows, pair: number): Float32Array {
  const [, height, width] = fields.shape;
  const size = height * width * 2;
  return fields.data.subarray(pair * size, (pair + 1) * size);
}

/** Consecutive fields `from` … `from + count` − 1. */
export function flowsBetween({ fields, estimator }: Flows, from: number, count: number): Flows {
  const [, height, width] = fields.shape;
  const size = height * width * 2;
  const data = fields.data.subarray(from * size, (from + count) * size);
  return { fields: { dtype: 'f32', shape: [count, height, width, 2], data }, estimator };
}
