import type { MetricName } from '../evaluation/index.ts';
import type { BenchTable } from './aggregate.ts';
import type { BenchResult, ControllerCurve } from './result.ts';
import { stagesOf } from './variants.ts';

/** Fig. 7: identity weights, mean over videos. */
export interface ControllerMeans extends ControllerCurve {
  /** Mean over groups at each step: the figure's overall line. */
  readonly overall: readonly number[];
  readonly videos: number;
}

/** Mean curves of a row over all its videos that tell of a controller with the same steps and groups. */
export function controllerMeans(
  results: readonly BenchResult[],
  variant: string,
): ControllerMeans | undefined {
  const curves = results.flatMap((result) =>
    result.variant === variant && result.controller ? [result.controller] : [],
  );
  if (curves.length === 0) return undefined;
  const [{ timesteps, identityWeights }] = curves;
  const shape = (curve: ControllerCurve) =>
    JSON.stringify([curve.timesteps, curve.identityWeights[0]?.length]);
  if (curves.some((curve) => shape(curve) !== shape(curves[0]))) return undefined;
  const means = identityWeights.map((weights, step) =>
    weights.map(
      (_, group) =>
        curves.reduce((sum, curve) => sum + curve.identityWeights[step][group], 0) / curves.length,
    ),
  );
  return {
    timesteps,
    identityWeights: means,
    overall: means.map((weights) => weights.reduce((sum, weight) => sum + weight, 0) / weights.length),
    videos: curves.length,
  };
}

/** Fig. 2: a metric of one way of training, against the length of its motion stage. */
export interface MotionCurve {
  readonly method: string;
  readonly identitySteps: number;
  readonly metric: MetricName;
  readonly points: readonly (readonly [motionSteps: number, mean: number])[];
  /** Length with the highest mean. */
  readonly best: number;
}

/** From a table of Fig. 2's rows, one curve for each metric, way of training and length of the identity stage. */
export function motionCurves(table: BenchTable): MotionCurve[] {
  const curves = new Map<string, Omit<MotionCurve, 'best' | 'points'> & { points: [number, number][] }>();
  for (const { variant, cells } of table.rows) {
    const stages = stagesOf(variant);
    for (const metric of stages ? table.metrics : []) {
      const cell = cells[metric];
      if (!stages || !cell) continue;
      const { method, identity, motion } = stages;
      const key = `${method} ${identity} ${metric}`;
      const curve = curves.get(key) ?? { method, identitySteps: identity, metric, points: [] };
      curve.points.push([motion, cell.summary.mean]);
      curves.set(key, curve);
    }
  }
  return [...curves.values()].map((curve) => ({
    ...curve,
    best: curve.points.reduce((top, point) => (point[1] > top[1] ? point : top))[0],
  }));
}
