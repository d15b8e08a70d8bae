import { isComparable, type MetricSummary, summarize } from '../evaluation/index.ts';
import type { MissingMetric, VideoReport } from './evaluate-report.ts';
import type { EvaluateRequest } from './evaluate-request.ts';

/** Means over the videos; a metric that was not measured in one way everywhere has none. */
export function summarizeVideos(
  videos: readonly VideoReport[],
  request: EvaluateRequest,
): { summaries: MetricSummary[]; missing: MissingMetric[] } {
  const summaries: MetricSummary[] = [];
  const missing: MissingMetric[] = [];
  for (const metric of request.metrics) {
    const found = videos.flatMap(({ path, prompt, values }) => {
      const value = values.find((each) => each.metric === metric);
      return value ? [{ value, cluster: prompt ?? path }] : [];
    });
    const values = found.map(({ value }) => value);
    if (values.length === 0) {
      const reasons = new Set(
        videos
          .flatMap((video) => video.missing.filter((each) => each.metric === metric))
          .map(({ reason }) => reason),
      );
      missing.push({ metric, reason: [...reasons].join('; ') || 'no video could be read' });
    } else if (values.every((value) => isComparable(value, values[0]))) {
      const clusters = found.map(({ cluster }) => cluster);
      summaries.push(summarize(values, clusters, request));
    } else missing.push({ metric, reason: 'the videos differ in size or frame rate: no common mean' });
  }
  return { summaries, missing };
}
