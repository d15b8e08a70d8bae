import { copyFile, mkdir } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { probeMedia } from '../../media/index.ts';
import { readEventLog } from '../../store/event-log.ts';
import type { JsonObject } from '../../store/plain-json.ts';
import type { Medium } from './page.ts';
import type { ReportedLoss, ReportedWeights } from './run-report.ts';

/** Copies a photo or clip to `name` (without its ending) in a report's folder, and says how it is shown there. */
export async function copyMedium(from: string, report: string, name: string, alt: string): Promise<Medium> {
  const src = name + extname(from).toLowerCase();
  await mkdir(dirname(join(report, src)), { recursive: true });
  await copyFile(from, join(report, src));
  const { width, height } = await probeMedia(from);
  return { src, alt, width, height };
}

/** {@link copyMedium} for a list, into a folder of the report; `captionOf` describes each. */
export function copyMedia(
  files: readonly { readonly path: string; readonly caption?: string | undefined }[],
  report: string,
  folder: string,
): Promise<Medium[]> {
  return Promise.all(
    files.map(({ path, caption }, i) =>
      copyMedium(path, report, `${folder}/${i + 1}`, caption ?? basename(path)),
    ),
  );
}

/** The losses of a run by phase, in the order of the steps. Steps that were done twice count once. */
export async function readLosses(eventsFile: string): Promise<Record<string, ReportedLoss[]>> {
  const last = new Map<number, { phase: string; loss: number }>();
  for (const { type, step, phase, loss } of (await readEventLog(eventsFile)).events) {
    if (type !== 'step' || typeof phase !== 'string') continue;
    last.set(Number(step), { phase, loss: Number(loss) });
  }
  const phases: Record<string, ReportedLoss[]> = {};
  for (const [step, { phase, loss }] of [...last].sort(([a], [b]) => a - b)) {
    phases[phase] ??= [];
    phases[phase].push({ step, loss });
  }
  return Object.fromEntries(Object.entries(phases).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * The controller's weights at each denoising step, averaged over outputs that were denoised alike; none for
 * outputs without a controller.
 */
export async function readControllerWeights(outputs: readonly string[]): Promise<ReportedWeights[]> {
  const sums = new Map<number, { timestep: number; count: number; total: number[] }>();
  for (const output of outputs) {
    const steps = new Map<number, JsonObject>();
    for (const event of (await readEventLog(join(output, 'events.jsonl'))).events) {
      if (event.type === 'denoise' && event.identityWeights) steps.set(Number(event.step), event);
    }
    for (const [step, { timestep, identityWeights }] of steps) {
      const weights = identityWeights as readonly number[];
      const known = sums.get(step) ?? { timestep: Number(timestep), count: 0, total: weights.map(() => 0) };
      known.count++;
      known.total = known.total.map((sum, i) => sum + weights[i]);
      sums.set(step, known);
    }
  }
  return [...sums]
    .sort(([a], [b]) => a - b)
    .map(([, { timestep, count, total }]) => ({ timestep, identity: total.map((sum) => sum / count) }));
}
