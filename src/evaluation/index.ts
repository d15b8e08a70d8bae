/** Metrics of generated videos, and what looks at pixels for them. */
export { METRIC_CARDS, type MetricCard } from './catalogue.ts';
export {
  dynamicDegree,
  dynamicDegreeDeviation,
  type SampledMotion,
  vbenchDynamic,
  vbenchFrameStep,
} from './dynamic-degree.ts';
export {
  type ContrastiveEmbedder,
  contrastiveEmbedder,
  type ImageEmbedder,
  imageEmbedder,
} from './embedder.ts';
export { clipT, type Embeddings, imageSimilarity, temporalConsistency } from './embeddings.ts';
export { temporalFlickering } from './flickering.ts';
export { createFarnebackFlow } from './flow/farneback.ts';
export type { FlowEstimator, Flows } from './flow/flows.ts';
export { createRaftFlow } from './flow/raft.ts';
export { consecutivePairs, everyNthFrame, type FramePair, type Frames } from './frames.ts';
export { createAmtInterpolator } from './interpolation/amt.ts';
export { createFlowInterpolator } from './interpolation/flow-interpolator.ts';
export { bootstrapInterval, type Interval, type IntervalOptions } from './interval.ts';
export {
  describeEncoder,
  describeSettings,
  type EncoderIdentity,
  isComparable,
  METRIC_NAMES,
  MetricError,
  type MetricName,
  type MetricValue,
  type Settings,
} from './metric.ts';
export { motionFidelity, trajectoryCorrelation } from './motion-fidelity.ts';
export { type EncoderPaths, type MetricEncoders, openMetricEncoders } from './open-encoders.ts';
export { type FrameInterpolator, motionSmoothness } from './smoothness.ts';
export { type MetricSummary, summarize } from './summary.ts';
export { type Trajectories, trackPoints } from './trajectories.ts';
