import { afterAll, expect, it } from 'vitest';
import { createRuntime } from '../../../runtime/index.ts';
import { randomStream } from '../../../tensor/random.ts';
import { SIDE } from '../configs.ts';
import type { MaskedClip, Scrambler } from './scrambler.ts';
import { PRESENCE_SIDE, trainSubjectFinder } from './subject-finder.ts';

const FRAMES = 5;
const EDGE = 20;
const runtime = createRuntime({ threads: 1 });
afterAll(() => runtime.close());

/** A square of random grey that stands on ground of another, or moves across it. */
function squareClip(index: number): MaskedClip {
  const stream = randomStream(3, 'square', index);
  const [x, y, step] = [stream.integer(20), stream.integer(44), stream.integer(2) * 6];
  const ground = 40 + stream.integer(160);
  const own = (ground + 70 + stream.integer(80)) % 256;
  const frames = new Uint8Array(FRAMES * SIDE * SIDE * 3).fill(ground);
  const mask = new Uint8Array(FRAMES * SIDE * SIDE);
  for (let frame = 0; frame < FRAMES; frame++) {
    for (let row = y; row < y + EDGE; row++) {
      const start = (frame * SIDE + row) * SIDE + x + frame * step;
      frames.fill(own, 3 * start, 3 * (start + EDGE));
      mask.fill(255, start, start + EDGE);
    }
  }
  return { frames, mask };
}

it('finds a square that it has not seen, wherever it moves, and none in an empty picture', async () => {
  const unscrambled: Scrambler = {
    scramble: async (clips) => clips.map(({ frames }) => frames),
    release: async () => undefined,
  };
  const lessons = Array.from({ length: 800 }, (_, i) => squareClip(i));
  const find = await trainSubjectFinder(runtime, lessons, unscrambled);
  const unseen = Array.from({ length: 20 }, (_, i) => squareClip(1000 + i));
  const found = await find(unseen.map(({ frames }) => frames));
  const cell = SIDE / PRESENCE_SIDE;
  for (const [i, { mask }] of unseen.entries()) {
    expect(found[i]).toHaveLength(FRAMES * PRESENCE_SIDE ** 2);
    let error = 0;
    for (const [at, presence] of found[i].entries()) {
      const [frame, place] = [Math.floor(at / PRESENCE_SIDE ** 2), at % PRESENCE_SIDE ** 2];
      const row = Math.floor(place / PRESENCE_SIDE) * cell + 2;
      const column = (place % PRESENCE_SIDE) * cell + 2;
      error += Math.abs(presence - mask[(frame * SIDE + row) * SIDE + column] / 255) / found[i].length;
    }
    // The square covers a tenth of the picture.
    expect(error).toBeLessThan(0.05);
  }
  const [nothing] = await find([new Uint8Array(FRAMES * SIDE * SIDE * 3).fill(120)]);
  expect(Math.max(...nothing)).toBeLessThan(0.5);
});
