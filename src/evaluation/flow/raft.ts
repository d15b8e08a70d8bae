import { planes } from '../../media/preprocess.ts';
import { resize } from '../../media/resize.ts';
import { createFlowEstimator, type FlowEstimatorSource } from '../../models/raft/flow-estimator.ts';
import type { Runtime } from '../../runtime/index.ts';
import { throwIfCancelled } from '../../tensor/errors.ts';
import { type FloatTensor, zeros } from '../../tensor/host-tensor.ts';
import { type Frames, frameOf, requireFrames } from '../frames.ts';
import type { EncoderIdentity } from '../metric.ts';
import { type FlowEstimator, fieldOf } from './flows.ts';

/** Byte values as they are. */
const AS_BYTES = Float32Array.from({ length: 256 }, (_, value) => value);

/**
 * RAFT as a metric's flow. Frames too small for it are enlarged by a whole factor (bicubic) and the flow is averaged
 * back to their own pixels; upstream has no answer for them.
 */
export function createRaftFlow(
  runtime: Runtime,
  source: FlowEstimatorSource,
  identity: EncoderIdentity,
): FlowEstimator {
  const raft = createFlowEstimator(runtime, source);
  return {
    identity,
    estimate: async (frames, pairs, signal) => {
      requireFrames('optical flow', frames, 2);
      const [, height, width] = frames.shape;
      const factor = Math.max(1, Math.ceil(raft.minSide / Math.min(height, width)));
      const image = (index: number) => enlarged(frames, index, factor);
      const fields = zeros('f32', [pairs.length, height, width, 2]);
      const flows = { fields, estimator: identity };
      for (const [i, [first, second]] of pairs.entries()) {
        throwIfCancelled(signal, 'optical flow');
        const flow = await raft.estimate(image(first), image(second), { signal });
        reduceInto(fieldOf(flows, i), flow, factor, width);
      }
      return flows;
    },
    release: () => raft.release(),
  };
}

/** One frame as f32 [1, 3, H·factor, W·factor], 0 … 255. */
function enlarged(frames: Frames, index: number, factor: number): FloatTensor {
  const [, height, width] = frames.shape;
  const data = frameOf(frames, index) as Frames['data'];
  const frame: Frames = { dtype: 'u8', shape: [1, height, width, 3], data };
  const size = { width: width * factor, height: height * factor };
  return planes(factor === 1 ? frame : resize(frame, size), [AS_BYTES, AS_BYTES, AS_BYTES]);
}

/** Flow [1, 2, H·factor, W·factor] averaged over blocks, in the pixels of the small frame: [H · W · 2]. */
function reduceInto(field: Float32Array, flow: FloatTensor, factor: number, width: number): void {
  const [, , tall, wide] = flow.shape;
  const share = 1 / factor ** 3;
  for (let axis = 0; axis < 2; axis++) {
    for (let y = 0; y < tall; y++) {
      const row = (axis * tall + y) * wide;
      const to = Math.floor(y / factor) * width;
      for (let x = 0; x < wide; x++) {
        field[(to + Math.floor(x / factor)) * 2 + axis] += flow.data[row + x] * share;
      }
    }
  }
}
