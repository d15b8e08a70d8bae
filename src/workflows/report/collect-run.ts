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
  const phases: Record<string, ReportedLoss[]> = {};
  for (const event of await stepsOf(eventsFile)) {
    const phase = String(event.phase);
    phases[phase] ??= [];
    phases[phase].push({ step: Number(event.step), loss: Number(event.loss) });
  }
  return Object.fromEntries(Object.entries(phases).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** How many steps a run has done, and how long they took, interruptions left out. */
export async function readStepTimes(eventsFile: string): Promise<{ steps: number; seconds: number }> {
  const steps = await stepsOf(eventsFile);
  const totalMs = steps.reduce((sum, { durationMs }) => sum + Number(durationMs), 0);
  return { steps: steps.length, seconds: totalMs / 1000 };
}

/** The events of a run's steps, each step as it was last done. */
async function stepsOf(eventsFile: string): Promise<JsonObject[]> {
  const last = new Map<number, JsonObject>();
  for (const event of (await readEventLog(eventsFile)).events) {
    if (event.type === 'step') last.set(Number(event.step), event);
  }
  return [...last].sort(([a], [b]) => a - b).map(([, event]) => event);
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
