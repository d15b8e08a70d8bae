import type { HostTensor } from '../tensor/host-tensor.ts';
import { formatShape } from '../tensor/shape.ts';
import { MetricError } from './metric.ts';

/** u8 RGB [F, H, W, 3]. */
export type Frames = HostTensor<'u8'>;

/** Two frames of a video by their indices. */
export type FramePair = readonly [first: number, second: number];

export function requireFrames(where: string, frames: Frames, atLeast: number): void {
  const [count] = frames.shape;
  if (frames.shape.length === 4 && frames.shape[3] === 3 && count >= atLeast) return;
  throw new MetricError({
    where,
    expected: `frames [F, H, W, 3] with F ≥ ${atLeast}`,
    got: formatShape(frames.shape),
    ...(count < atLeast && { hint: 'one picture has no motion to measure' }),
  });
}

/** The bytes of one frame, [H · W · 3]. */
export function frameOf(frames: Frames, index: number): Uint8Array {
  const [, height, width] = frames.shape;
  const size = height * width * 3;
  return frames.data.subarray(index * size, (index + 1) * size);
}

/** (0, 1), (1, 2), … up to (count − 2, count − 1). */
export function consecutivePairs(count: number): FramePair[] {
  return Array.from({ length: Math.max(0, count - 1) }, (_, i) => [i, i + 1]);
}

/** Every `step`-th frame, from the first. */
export function everyNthFrame(frames: Frames, step: number): Frames {
  if (step === 1) return frames;
  const [count, height, width] = frames.shape;
  const kept = Math.ceil(count / step);
  const size = height * width * 3;
  const data = new Uint8Array(kept * size);
  for (let i = 0; i < kept; i++) data.set(frameOf(frames, i * step), i * size);
  return { dtype: 'u8', shape: [kept, height, width, 3], data };
}

/** Mean |a − b| of two pictures' bytes. */
export function meanAbsoluteDifference(a: Uint8Array, b: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i] - b[i]);
  return sum / a.length;
}
