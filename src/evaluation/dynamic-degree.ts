import { type Flows, fieldOf } from './flow/flows.ts';
import { isComparable, MetricError, type MetricValue, type Settings } from './metric.ts';

/** Share of the fastest pixels that stand for a pair of frames. */
const TOP_SHARE = 0.05;
/** Frames per second that VBench measures at. */
const VBENCH_FPS = 8;

/** A clip sampled for dynamic degree: every `frameStep`-th frame. */
export interface SampledMotion {
  /** Of consecutive sampled frames: P = frames − 1. */
  readonly flows: Flows;
  /** Frames per second of the clip, before sampling. */
  readonly fps: number;
}

/** How many frames VBench goes on at once: max(1, fps / 8), rounded. */
export function vbenchFrameStep(fps: number): number {
  return Math.max(1, roundHalfEven(fps / VBENCH_FPS));
}

/**
 * Raw dynamic degree, in pixels: of each pair of frames the mean of the fastest 5 % of the flow, averaged over the
 * pairs. This is the score that VBench (dynamic_degree.py) compares with a threshold.
 */
export function dynamicDegree(motion: SampledMotion): MetricValue {
  const speeds = topSpeeds(motion.flows);
  return {
    metric: 'dynamic-degree',
    value: speeds.reduce((sum, speed) => sum + speed, 0) / speeds.length,
    encoder: motion.flows.estimator,
    settings: settingsOf(motion),
  };
}

/**
 * VBench's yes (1) or no (0): as many pairs as a quarter of the frames exceed 6 pixels at a short side of 256. With
 * two frames that count rounds to 0 and upstream calls everything dynamic; here one pair must move.
 */
export function vbenchDynamic(motion: SampledMotion): MetricValue {
  const { flows } = motion;
  const [pairs, height, width] = flows.fields.shape;
  const threshold = 6 * (Math.min(height, width) / 256);
  const needed = Math.max(1, roundHalfEven(4 * ((pairs + 1) / 16)));
  const moving = topSpeeds(flows).filter((speed) => speed > threshold).length;
  return {
    metric: 'dynamic-degree-vbench',
    value: moving >= needed ? 1 : 0,
    encoder: flows.estimator,
    settings: settingsOf(motion),
  };
}

/** A clip's raw dynamic degree minus the mean of the references', which must be measured in the same way. */
export function dynamicDegreeDeviation(value: MetricValue, references: readonly MetricValue[]): MetricValue {
  const other = references.find((reference) => !isComparable(reference, value));
  if (value.metric !== 'dynamic-degree' || references.length === 0 || other) {
    throw new MetricError({
      where: 'deviation of dynamic degree',
      expected: 'reference clips measured with the same flow, size, frame rate and step',
      got: other ? JSON.stringify(other.settings) : `${references.length} of ${value.metric}`,
    });
  }
  const mean = references.reduce((sum, reference) => sum + reference.value, 0) / references.length;
  return {
    ...value,
    metric: 'dynamic-degree-deviation',
    value: value.value - mean,
    settings: { ...value.settings, references: references.length },
  };
}

/** For each pair the mean length of the fastest 5 % of the flow, in pixels. */
export function topSpeeds(flows: Flows): number[] {
  const [pairs, height, width] = flows.fields.shape;
  if (pairs < 1) {
    throw new MetricError({ where: 'dynamic degree', expected: 'at least two frames', got: 'one' });
  }
  const count = Math.max(1, Math.trunc(height * width * TOP_SHARE));
  return Array.from({ length: pairs }, (_, pair) => {
    const field = fieldOf(flows, pair);
    const speeds = new Float32Array(height * width);
    for (let i = 0; i < speeds.length; i++) speeds[i] = Math.hypot(field[2 * i], field[2 * i + 1]);
    speeds.sort();
    let sum = 0;
    for (let i = speeds.length - count; i < speeds.length; i++) sum += speeds[i];
    return sum / count;
  });
}

function settingsOf({ flows, fps }: SampledMotion): Settings {
  const [, height, width] = flows.fields.shape;
  return { width, height, fps, frameStep: vbenchFrameStep(fps), top: TOP_SHARE };
}

/** Python's round: halves go to the even neighbour. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
