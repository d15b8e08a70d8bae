import { EMBEDDING_DIM, SIDE } from '../configs.ts';
import { PRESENCE_SIDE } from './subject-finder.ts';

/** Saliency is looked at in blocks of this many pixels, and pooled into 8 × 8 cells. */
const BLOCK = 2;
const BLOCKS = SIDE / BLOCK;
const CELLS = 8;
const MOMENTS = 6;

/** Numbers that describe how a clip of `frames` frames moves. */
export const motionFeatureCount = (frames: number): number =>
  2 * frames * (MOMENTS + CELLS * CELLS) + 3 * EMBEDDING_DIM;

/**
 * What moves where: the difference of each frame to the clip's median picture, and the subject itself, each as mass,
 * centre and spread and as a coarse map; and what the frames look like to CLIP: their mean, first to last, and mean
 * change.
 * @param clip [F, 64, 64, 3]
 * @param rows CLIP's unit rows of the frames [F, E]
 * @param presence where the subject is, [F, 16, 16] (see {@link SubjectFinder})
 */
export function motionFeatures(clip: Uint8Array, rows: Float32Array, presence: Float32Array): Float32Array {
  const frames = clip.length / (SIDE * SIDE * 3);
  const salient = saliency(clip, frames);
  const out = new Float32Array(motionFeatureCount(frames));
  let at = 0;
  for (const [maps, side] of [
    [salient, BLOCKS],
    [presence, PRESENCE_SIDE],
  ] as const) {
    for (let frame = 0; frame < frames; frame++) {
      const map = maps.subarray(frame * side * side, (frame + 1) * side * side);
      out.set(momentsOf(map, side), at);
      at += MOMENTS;
      for (let i = 0; i < map.length; i++) {
        const row = Math.floor(Math.floor(i / side) / (side / CELLS));
        const column = Math.floor((i % side) / (side / CELLS));
        out[at + row * CELLS + column] += map[i] / (side / CELLS) ** 2;
      }
      at += CELLS * CELLS;
    }
  }
  for (let i = 0; i < EMBEDDING_DIM; i++) {
    const of = (frame: number) => rows[frame * EMBEDDING_DIM + i];
    for (let frame = 0; frame < frames; frame++) {
      out[at + i] += of(frame) / frames;
      if (frame > 0) out[at + 2 * EMBEDDING_DIM + i] += Math.abs(of(frame) - of(frame - 1)) / (frames - 1);
    }
    out[at + EMBEDDING_DIM + i] = of(frames - 1) - of(0);
  }
  return out;
}

/** |grey − its median over time| of every block, 0 … 1, [F, 32, 32]. */
function saliency(clip: Uint8Array, frames: number): Float32Array {
  const area = BLOCKS * BLOCKS;
  const grey = new Float32Array(frames * area);
  for (let i = 0; i < clip.length; i++) {
    const pixel = Math.floor(i / 3);
    const [frame, place] = [Math.floor(pixel / (SIDE * SIDE)), pixel % (SIDE * SIDE)];
    const block = Math.floor(Math.floor(place / SIDE) / BLOCK) * BLOCKS + Math.floor((place % SIDE) / BLOCK);
    grey[frame * area + block] += clip[i] / (255 * 3 * BLOCK * BLOCK);
  }
  const out = new Float32Array(grey.length);
  for (let i = 0; i < area; i++) {
    const values = Float32Array.from({ length: frames }, (_, frame) => grey[frame * area + i]).sort();
    const median = values[Math.floor(frames / 2)];
    for (let frame = 0; frame < frames; frame++) {
      out[frame * area + i] = Math.abs(grey[frame * area + i] - median);
    }
  }
  return out;
}

/** Mean, centre x and y, variances and covariance, in picture widths. */
function momentsOf(map: Float32Array, side: number): number[] {
  let [mass, x, y, xx, yy, xy] = [1e-6, 0, 0, 0, 0, 0];
  for (let i = 0; i < map.length; i++) {
    const [column, row] = [(i % side) / side, Math.floor(i / side) / side];
    // Squared, so that the noise of the background does not pull the centre to the middle.
    const weight = map[i] ** 2;
    mass += weight;
    x += weight * column;
    y += weight * row;
    xx += weight * column * column;
    yy += weight * row * row;
    xy += weight * column * row;
  }
  const [cx, cy] = [x / mass, y / mass];
  return [
    Math.sqrt(mass / map.length),
    cx,
    cy,
    xx / mass - cx * cx,
    yy / mass - cy * cy,
    xy / mass - cx * cy,
  ];
}
