import { cellsOfVideo, type SheetCell, type SheetRow } from '../../media/index.ts';
import type { HostTensor } from '../../tensor/host-tensor.ts';
import { randomStream } from '../../tensor/random.ts';
import type { Atlas } from './atlas.ts';
import { CLIP_SIZE } from './composite.ts';
import type { EvaluationOptions } from './evaluation.ts';
import { createReferences } from './evaluation.ts';
import { layOut } from './layout.ts';
import type { Content } from './plan.ts';
import { renderLayout } from './render.ts';
import type { Universe } from './universe.ts';

/** A clip's frames as a tensor, u8 [F, 64, 64, 3]. */
export function framesTensor(frames: Uint8Array): HostTensor<'u8'> {
  const shape = [frames.length / (CLIP_SIZE * CLIP_SIZE * 3), CLIP_SIZE, CLIP_SIZE, 3];
  return { dtype: 'u8', shape, data: frames };
}

/** The first frame as a picture, u8 [64, 64, 3]. */
export function pictureTensor(frames: Uint8Array): HostTensor<'u8'> {
  const data = frames.subarray(0, CLIP_SIZE * CLIP_SIZE * 3);
  return { dtype: 'u8', shape: [CLIP_SIZE, CLIP_SIZE, 3], data };
}

const withoutLabels = (cells: readonly SheetCell[]): SheetCell[] => cells.map(({ image }) => ({ image }));

/** Samples from `first` on: one row each, its caption at the left. */
export function sampleRows(universe: Universe, first: number, count: number): SheetRow[] {
  return Array.from({ length: count }, (_, step) => {
    const { frames, caption } = universe.render(first + step);
    return { label: caption, cells: withoutLabels(cellsOfVideo(framesTensor(frames), 33)) };
  });
}

/** Every motion of a split, performed by two subjects. */
export function motionRows(universe: Universe, atlas: Atlas, seed: number, frames: number): SheetRow[] {
  const { castings, scenes } = universe.catalogue;
  return castings.flatMap(({ motion, performers }) =>
    [0, 1].map((take) => {
      const stream = randomStream(seed, 'toybox', 'motion sheet', motion.id, take);
      const scene = stream.pick(scenes);
      const content: Content = { subject: stream.pick(performers), motion, scene };
      const pixels = renderLayout(atlas, scene, layOut(stream, atlas, content, frames));
      return {
        label: `${content.subject.phrase} is ${motion.phrase}`,
        cells: withoutLabels(cellsOfVideo(framesTensor(pixels.frames), 33)),
      };
    }),
  );
}

const SUBJECTS_PER_ROW = 12;

/** Every subject of a split at rest, each in some scene, with its name. */
export function subjectRows(universe: Universe, atlas: Atlas, seed: number): SheetRow[] {
  const { subjects, scenes } = universe.catalogue;
  const cells = subjects.map((subject): SheetCell => {
    const stream = randomStream(seed, 'toybox', 'subject sheet', subject.id);
    const scene = stream.pick(scenes);
    const pixels = renderLayout(atlas, scene, layOut(stream, atlas, { subject, scene }, 1));
    return { image: pictureTensor(pixels.frames), label: subject.id };
  });
  return rowsOf(cells, SUBJECTS_PER_ROW);
}

/** Photos of every held-out subject: what a customization learns an identity from. */
export function photoRows(options: EvaluationOptions, atlas: Atlas): SheetRow[] {
  const references = createReferences({ ...options, atlas, frames: 1 });
  return references.catalogue.subjects.map((subject) => ({
    label: `${subject.id} (${subject.classPhrase})`,
    cells: references.photos(subject.id).map(({ frames }) => ({ image: pictureTensor(frames) })),
  }));
}

function rowsOf(cells: readonly SheetCell[], perRow: number): SheetRow[] {
  const rows: SheetRow[] = [];
  for (let at = 0; at < cells.length; at += perRow) rows.push({ cells: cells.slice(at, at + perRow) });
  return rows;
}
