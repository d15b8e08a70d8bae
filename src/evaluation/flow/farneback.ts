import { throwIfCancelled } from '../../tensor/errors.ts';
import { zeros } from '../../tensor/host-tensor.ts';
import { frameOf, requireFrames } from '../frames.ts';
import type { EncoderIdentity } from '../metric.ts';
import { type FlowEstimator, fieldOf } from './flows.ts';
import { loadOpencv, type Matrix, opencvVersion } from './opencv.ts';

/** The values of OpenCV's own example; a window of 15 pixels follows up to 6 pixels a frame at 64² without blur. */
const PYRAMID_SCALE = 0.5;
const WINDOW = 15;
const ITERATIONS = 3;
const POLYNOMIAL_SIDE = 5;
const POLYNOMIAL_SIGMA = 1.2;

/**
 * Dense optical flow by polynomial expansion (Farnebäck, SCIA 2003), of the grey pictures, in OpenCV: a classical
 * algorithm that needs no weights. One pyramid level more for each doubling of the picture keeps its reach the
 * same share of it.
 */
export function createFarnebackFlow(): FlowEstimator {
  const identity: EncoderIdentity = {
    name: 'farneback',
    source: `OpenCV ${opencvVersion()}`,
    settings: { window: WINDOW, iterations: ITERATIONS, polynomial: POLYNOMIAL_SIDE },
  };
  return {
    identity,
    estimate: async (frames, pairs, signal) => {
      requireFrames('optical flow', frames, 2);
      const { cv } = await loadOpencv();
      const [, height, width] = frames.shape;
      const levels = 3 + Math.max(0, Math.round(Math.log2(Math.min(height, width) / 64)));
      const greys = new Map<number, Matrix>();
      const grey = (index: number): Matrix => {
        const known = greys.get(index);
        if (known) return known;
        const colour = cv.matFromArray(height, width, cv.CV_8UC3, frameOf(frames, index));
        const made = new cv.Mat();
        cv.cvtColor(colour, made, cv.COLOR_RGB2GRAY);
        colour.delete();
        greys.set(index, made);
        return made;
      };
      const fields = zeros('f32', [pairs.length, height, width, 2]);
      const flows = { fields, estimator: identity };
      const flow = new cv.Mat();
      try {
        for (const [i, [first, second]] of pairs.entries()) {
          throwIfCancelled(signal, 'optical flow');
          const sides = [grey(first), grey(second)] as const;
          const polynomial = [POLYNOMIAL_SIDE, POLYNOMIAL_SIGMA] as const;
          cv.calcOpticalFlowFarneback(
            ...sides,
            flow,
            PYRAMID_SCALE,
            levels,
            WINDOW,
            ITERATIONS,
            ...polynomial,
            0,
          );
          fieldOf(flows, i).set(flow.data32F);
        }
      } finally {
        for (const matrix of [flow, ...greys.values()]) matrix.delete();
      }
      return flows;
    },
    release: async () => {},
  };
}
