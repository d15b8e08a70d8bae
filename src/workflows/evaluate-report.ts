import type { MetricName, MetricSummary, MetricValue } from '../evaluation/index.ts';
import type { EvaluateRequest } from './evaluate-request.ts';

/** A metric that could not be taken, and why, in words. */
export interface MissingMetric {
  readonly metric: MetricName;
  readonly reason: string;
}

export interface VideoReport {
  readonly path: string;
  readonly prompt?: string;
  readonly seed?: number;
  readonly frames: number;
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly values: readonly MetricValue[];
  readonly missing: readonly MissingMetric[];
}

/** A video that could not be read. */
export interface FailedVideo {
  readonly path: string;
  readonly message: string;
}

/** What the reference clips give when they are measured as videos of one shape are. */
export interface ReferenceMotionReport {
  readonly frames: number;
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly dynamicDegree: MetricSummary;
  /** Each clip against the others: how alike the references are. Absent where there is one clip. */
  readonly motionFidelity?: MetricSummary;
}

/** What `evaluate` returns; plain data, and the contents of evaluation.json. */
export interface EvaluationReport {
  readonly version: 1;
  readonly request: EvaluateRequest;
  readonly versions: Readonly<Record<string, string>>;
  readonly videos: readonly VideoReport[];
  readonly failed: readonly FailedVideo[];
  /** Means over the videos. */
  readonly summaries: readonly MetricSummary[];
  /** Metrics without a mean. */
  readonly missing: readonly MissingMetric[];
  readonly references: {
    readonly photos: readonly string[];
    readonly clips: readonly string[];
    readonly motion: readonly ReferenceMotionReport[];
  };
}
