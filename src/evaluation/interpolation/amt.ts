import { planes } from '../../media/preprocess.ts';
import { createImageInterpolator, type ImageInterpolatorSource } from '../../models/amt/index.ts';
import type { Runtime } from '../../runtime/index.ts';
import { throwIfCancelled } from '../../tensor/errors.ts';
import { type FloatTensor, zeros } from '../../tensor/host-tensor.ts';
import { type Frames, frameOf } from '../frames.ts';
import type { EncoderIdentity } from '../metric.ts';
import type { FrameInterpolator } from '../smoothness.ts';

/** Byte values as 0 … 1. */
const UNIT = Float32Array.from({ length: 256 }, (_, value) => Math.fround(value / 255));

/** AMT as VBench's motion smoothness uses it, at the frames' own size on every device. */
export function createAmtInterpolator(
  runtime: Runtime,
  source: ImageInterpolatorSource,
  identity: EncoderIdentity,
): FrameInterpolator {
  const interpolator = createImageInterpolator(runtime, source);
  return {
    identity,
    midpoints: async (frames, pairs, signal) => {
      const [, height, width] = frames.shape;
      const made = zeros('u8', [pairs.length, height, width, 3]);
      const image = (index: number) => {
        const data = frameOf(frames, index) as Frames['data'];
        return planes({ dtype: 'u8', shape: [1, height, width, 3], data }, [UNIT, UNIT, UNIT]);
      };
      for (const [i, [first, second]] of pairs.entries()) {
        throwIfCancelled(signal, 'frame interpolation');
        const middle = await interpolator.middle(image(first), image(second), { signal });
        writeBytes(frameOf(made, i), middle);
      }
      return made;
    },
    release: () => interpolator.release(),
  };
}

/** [1, 3, H, W] in 0 … 1 as bytes [H · W · 3], cut to whole numbers as VBench does. */
function writeBytes(bytes: Uint8Array, { shape, data }: FloatTensor): void {
  const area = shape[2] * shape[3];
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < area; i++)
      bytes[i * 3 + channel] = Math.trunc(Math.fround(data[channel * area + i] * 255));
  }
}
