import { consecutivePairs, type Frames, frameOf, meanAbsoluteDifference, requireFrames } from './frames.ts';
import { type MetricValue, PLAIN_PIXELS } from './metric.ts';

/**
 * Temporal Flickering: (255 − mean over pairs of the mean absolute difference) / 255, all frames at their own
 * size. VBench judges static videos only; the paper's values fit the unfiltered set, so nothing is filtered.
 */
export function temporalFlickering(frames: Frames): MetricValue {
  requireFrames('T.Fli', frames, 2);
  const [count, height, width] = frames.shape;
  const pairs = consecutivePairs(count);
  let sum = 0;
  for (const [a, b] of pairs) sum += meanAbsoluteDifference(frameOf(frames, a), frameOf(frames, b));
  const value = (255 - sum / pairs.length) / 255;
  return { metric: 'temporal-flickering', value, encoder: PLAIN_PIXELS, settings: { width, height } };
}
