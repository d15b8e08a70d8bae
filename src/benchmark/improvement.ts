/** How much better one method is than the mean of others, in the two ways that a percentage can be taken. */
export interface Improvement {
  readonly own: number;
  readonly baseline: number;
  /** (own − baseline) / own: how the paper's 21.7 % and 31.8 % come about. Absent unless own is above 0. */
  readonly ofOwn?: number;
  /** (own − baseline) / baseline: what "improves by" usually means. Absent unless the baseline is above 0. */
  readonly ofBaseline?: number;
}

/** `baselines` are the other methods' means, each counted once. undefined where there are none. */
export function improvementOver(own: number, baselines: readonly number[]): Improvement | undefined {
  if (baselines.length === 0) return undefined;
  const baseline = baselines.reduce((sum, value) => sum + value, 0) / baselines.length;
  return {
    own,
    baseline,
    ...(own > 0 && { ofOwn: (own - baseline) / own }),
    ...(baseline > 0 && { ofBaseline: (own - baseline) / baseline }),
  };
}
