import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type SheetRow, writeContactSheet } from '../media/index.ts';
import { throwIfCancelled } from '../tensor/errors.ts';
import { motionRows, photoRows, sampleRows, subjectRows } from '../toybox/universe/sheets.ts';
import {
  createUniverse,
  DEFAULT_CACHE_FOLDER,
  openUniverseAtlas,
  type PrepareProgress,
  prepareUniverse,
} from '../toybox/universe/universe.ts';
import type { WorkflowContext, WorkflowEvent } from './workflow.ts';

const path = z.string().min(1);

/** What `toybox preview` is asked for. */
export const previewUniverseRequestSchema = z.strictObject({
  /** Folder that the contact sheets go into. */
  out: path.default('outputs/toybox-preview'),
  seed: z.number().int().nonnegative().default(1),
  /** Frames of each clip, 4k + 1. */
  frames: z.number().int().positive().max(33).default(9),
  /** Clips on the sheet of samples. */
  clips: z.number().int().positive().max(200).default(40),
  stage: z.union([z.literal(1), z.literal(2)]).default(1),
  /** Holds the decoded art (300 MB). */
  cacheFolder: path.default(DEFAULT_CACHE_FOLDER),
  /** Holds the art packages (750 MB), which are installed where they are missing. */
  artFolder: path.default(join(DEFAULT_CACHE_FOLDER, 'toybox-art')),
});

export type PreviewUniverseRequest = z.infer<typeof previewUniverseRequestSchema>;

export interface PreviewUniverseResult {
  readonly sheets: readonly string[];
}

/**
 * Makes contact sheets of the toybox universe: samples, subjects, motions, and the held-out photos and motions.
 * Installs and decodes the art first where that has not been done.
 */
export async function* previewUniverse(
  request: PreviewUniverseRequest,
  context: Pick<WorkflowContext, 'signal'>,
): AsyncGenerator<WorkflowEvent, PreviewUniverseResult> {
  const { seed, frames, stage, cacheFolder } = request;
  yield* universePreparation(request, context.signal);
  yield { type: 'stage', stage: 'render' };
  const atlas = openUniverseAtlas(cacheFolder);
  const universeOf = (split: 'pretraining' | 'evaluation' | 'development', count = frames) =>
    createUniverse({ seed, split, frames: count, stage, atlas });
  const pages: [name: string, rows: () => SheetRow[], labelWidth: number][] = [
    ['samples', () => sampleRows(universeOf('pretraining'), 0, request.clips), 400],
    ['pictures', () => sampleRows(universeOf('pretraining', 1), 0, request.clips), 400],
    ['subjects', () => subjectRows(universeOf('pretraining'), atlas, seed), 0],
    ['motions', () => motionRows(universeOf('pretraining'), atlas, seed, frames), 280],
    ['held-out-photos', () => photoRows({ seed, split: 'evaluation', stage }, atlas), 200],
    ['held-out-motions', () => motionRows(universeOf('evaluation'), atlas, seed, frames), 280],
    ['development-motions', () => motionRows(universeOf('development'), atlas, seed, frames), 280],
  ];
  await mkdir(request.out, { recursive: true });
  const sheets: string[] = [];
  for (const [name, rows, labelWidth] of pages) {
    throwIfCancelled(context.signal, 'toybox preview');
    const sheet = join(request.out, `${name}.png`);
    await writeContactSheet(sheet, rows(), { title: `Toybox: ${name}`, cellWidth: 128, labelWidth });
    sheets.push(sheet);
    yield { type: 'artifact', kind: 'contact sheet', path: sheet };
  }
  return { sheets };
}

/** Installs and decodes; its callbacks become events, the newest at most every fifth of a second. */
export async function* universePreparation(
  { cacheFolder, artFolder }: Pick<PreviewUniverseRequest, 'cacheFolder' | 'artFolder'>,
  signal: AbortSignal | undefined,
): AsyncGenerator<WorkflowEvent> {
  let latest: PrepareProgress | undefined;
  let settled = false;
  const work = prepareUniverse({
    cacheFolder,
    artFolder,
    onProgress: (progress) => {
      latest = progress;
    },
    ...(signal && { signal }),
  }).finally(() => {
    settled = true;
  });
  // A failure is thrown by the await below; here it must not count as unhandled.
  work.catch(() => undefined);
  let phase: string | undefined;
  while (!settled) {
    await Promise.race([work.catch(() => undefined), new Promise((resolve) => setTimeout(resolve, 200))]);
    if (latest === undefined) continue;
    if (latest.phase !== phase) {
      phase = latest.phase;
      yield { type: 'stage', stage: phase, detail: latest.message };
    }
    yield { type: 'progress', stage: phase, done: latest.done, total: latest.total };
  }
  await work;
}
