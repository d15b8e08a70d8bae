import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import {
  cellsOfVideo,
  decodePhoto,
  decodeVideo,
  fitFrames,
  loadMedia,
  type SheetCell,
  type SheetRow,
  type Size,
  writeContactSheet,
} from '../media/index.ts';
import { listDataset } from '../store/dataset.ts';
import type { MotionRecord } from './motion-results.ts';
import type { BenchCase, BenchPlan } from './plan.ts';
import type { BenchResult } from './result.ts';

const CELLS = 9;
/** Small videos are enlarged to this width. */
const CELL_WIDTH = 112;
const LABEL_WIDTH = 210;

/** Prompts that a sheet of `customization` shows; of the others it is one. */
const CUSTOMIZATION_PROMPTS = 3;

/**
 * The first prompt of a case in every row that has its video, below what was learnt from (Fig. 5, Fig. 6); in Fig. 2
 * a star marks the row in which the subject is best kept. `customization` shows more prompts, and what each video was
 * taken for. Whether there was anything to show.
 */
export async function writeCaseSheet(
  path: string,
  folder: string,
  plan: BenchPlan,
  benchCase: BenchCase,
  results: readonly BenchResult[],
  motions: Pick<MotionRecord, 'cases'> | undefined,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const prompts = plan.request.benchmark === 'customization' ? CUSTOMIZATION_PROMPTS : 1;
  const videos = Array.from({ length: prompts }, (_, prompt) => prompt).flatMap((prompt) =>
    plan.variants.flatMap((variant) => {
      const found = results.find(
        (result) => result.case === benchCase.id && result.variant === variant.id && result.prompt === prompt,
      );
      // Numbers stay where somebody has made room by deleting videos.
      if (!found || !existsSync(join(folder, found.video))) return [];
      return [{ title: variant.title + takenFor(found, benchCase, motions), result: found }];
    }),
  );
  const [first] = videos;
  if (!first) return false;
  const { width, height, frames } = first.result;
  const rows: SheetRow[] = [
    {
      label: 'photos',
      cells: await photoCells(resolve(folder, benchCase.photos), { width, height }, signal),
    },
    {
      label: 'a clip of the motion',
      cells: await clipCells(resolve(folder, benchCase.clips), { width, height }, frames, signal),
    },
  ];
  const best = plan.request.benchmark === 'fig2' ? mostAlike(videos.map(({ result }) => result)) : undefined;
  for (const { title, result } of videos) {
    const video = await decodeVideo(join(folder, result.video), { signal });
    rows.push({
      label: result === best ? `${title} ★` : title,
      cells: bare(cellsOfVideo(video.frames, CELLS)),
    });
  }
  await mkdir(dirname(path), { recursive: true });
  await writeContactSheet(path, rows, {
    title: `${benchCase.id}: “${benchCase.prompts[0]}”`,
    cellWidth: CELL_WIDTH,
    labelWidth: LABEL_WIDTH,
  });
  return true;
}

/** ": roll ✓", ": hop", or nothing where nobody has asked. */
function takenFor(
  { variant, prompt }: BenchResult,
  { id, motion }: BenchCase,
  motions: Pick<MotionRecord, 'cases'> | undefined,
): string {
  const judged = motions?.cases.find((each) => each.case === id);
  const clip = judged?.clips.find((each) => each.variant === variant && each.prompt === prompt);
  return clip ? `: ${clip.motion}${clip.motion === motion ? ' ✓' : ''}` : '';
}

/** The video with the highest DINO-I. */
function mostAlike(results: readonly BenchResult[]): BenchResult | undefined {
  const likeness = ({ values }: BenchResult) =>
    values.find(({ metric }) => metric === 'dino-i')?.value ?? Number.NEGATIVE_INFINITY;
  const best = Math.max(...results.map(likeness));
  return Number.isFinite(best) ? results.find((result) => likeness(result) === best) : undefined;
}

async function photoCells(folder: string, size: Size, signal: AbortSignal | undefined): Promise<SheetCell[]> {
  const { files } = await listDataset(folder);
  const cells: SheetCell[] = [];
  for (const { path } of files.slice(0, CELLS)) {
    const { image } = await decodePhoto(path, { signal });
    const { shape, data } = fitFrames({ ...image, shape: [1, ...image.shape] }, size, 'crop');
    cells.push({ image: { dtype: 'u8', shape: shape.slice(1), data } });
  }
  return cells;
}

async function clipCells(
  folder: string,
  size: Size,
  frames: number,
  signal: AbortSignal | undefined,
): Promise<SheetCell[]> {
  const { files } = await listDataset(folder);
  const selection = { maxFrames: frames, fps: 'native', temporalRatio: 1 } as const;
  const clip = await loadMedia(files[0].path, { size, fit: 'crop', selection }, { signal });
  return bare(cellsOfVideo(clip.frames, CELLS));
}

/** Frame numbers under every row would be the same ones over and over. */
function bare(cells: readonly SheetCell[]): SheetCell[] {
  return cells.map(({ image }) => ({ image }));
}
