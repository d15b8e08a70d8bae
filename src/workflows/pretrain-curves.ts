import { readEventLog } from '../store/event-log.ts';
import { type Curve, curvesPng } from '../toybox/pretrain/loss-curve.ts';

/** Loss and review numbers of a run's metrics.jsonl as a chart. Steps that were done twice count once. */
export async function drawCurves(title: string, metricsFile: string): Promise<Buffer> {
  const { events } = await readEventLog(metricsFile);
  const loss = new Map<number, number>();
  const reviews = new Map<string, Map<number, number>>();
  for (const event of events) {
    const step = Number(event.step);
    if (typeof event.loss === 'number') loss.set(step, event.loss);
    for (const [name, value] of Object.entries(event.review ?? {})) {
      const known = reviews.get(name) ?? new Map<number, number>();
      reviews.set(name, known.set(step, Number(value)));
    }
  }
  const points = (table: ReadonlyMap<number, number>) => [...table].sort(([a], [b]) => a - b);
  const charts: Curve[][] = [[{ name: 'loss', points: points(loss), smoothed: true }]];
  for (const [name, table] of reviews) charts.push([{ name, points: points(table) }]);
  return curvesPng(title, charts);
}
