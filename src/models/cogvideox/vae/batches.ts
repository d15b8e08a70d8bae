/** Latent frames decoded at a time, and pixel frames encoded at a time, as upstream fixes them. */
export const LATENT_FRAMES_PER_BATCH = 2;
export const PIXEL_FRAMES_PER_BATCH = 8;

export interface FrameBatch {
  readonly start: number;
  readonly stop: number;
}

/** Whole batches of `size` frames; the first also takes what is left over (5 by 2: 3 + 2). */
export function frameBatches(frames: number, size: number): readonly FrameBatch[] {
  const count = Math.max(Math.floor(frames / size), 1);
  const remainder = frames % size;
  if (frames < size) return [{ start: 0, stop: frames }];
  return Array.from({ length: count }, (_, i) => ({
    start: i === 0 ? 0 : size * i + remainder,
    stop: size * (i + 1) + remainder,
  }));
}

/** Frames after one halving, or doubling, of the frame rate of a batch. */
const halved = (frames: number): number => (frames % 2) + Math.floor(frames / 2);
const doubled = (frames: number): number => 2 * frames - (frames % 2);

/** Latent frames that a batch of pixel frames becomes. */
export function latentFrameCount(frames: number, temporalCompression: number): number {
  let count = frames;
  for (let rest = temporalCompression; rest > 1; rest /= 2) count = halved(count);
  return count;
}

/** Pixel frames that a batch of latent frames becomes: 1 + c·(f − 1) for odd f, c·f for even f. */
export function pixelFrameCount(latentFrames: number, temporalCompression: number): number {
  let count = latentFrames;
  for (let rest = temporalCompression; rest > 1; rest /= 2) count = doubled(count);
  return count;
}
