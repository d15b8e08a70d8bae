import { METRIC_NAMES, type MetricName } from '../evaluation/index.ts';
import type { BenchTable } from './aggregate.ts';
import type { BenchPlan } from './plan.ts';
import type { BenchResult, ControllerCurve } from './result.ts';
import { motionStepsOf } from './variants.ts';

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
  readonly metric: MetricName;
  readonly points: readonly (readonly [motionSteps: number, mean: number])[];
  /** Length with the highest mean. */
  readonly best: number;
}

/** From a table of Fig. 2's rows; metrics that every row has. */
export function motionCurves(plan: BenchPlan, table: BenchTable): MotionCurve[] {
  const methods = new Set(plan.variants.flatMap(({ id }) => motionStepsOf(id)?.method ?? []));
  return [...methods].flatMap((method) =>
    METRIC_NAMES.flatMap((metric) => {
      const points = table.rows.flatMap(({ variant, cells }) => {
        const at = motionStepsOf(variant);
        const cell = cells[metric];
        return at?.method === method && cell ? [[at.steps, cell.summary.mean] as const] : [];
      });
      if (points.length === 0) return [];
      const [best] = points.reduce((top, point) => (point[1] > top[1] ? point : top));
      return [{ method, metric, points, best }];
    }),
  );
}
