import { describe, expect, it } from 'vitest';
import { frameBatches, latentFrameCount, pixelFrameCount } from './batches.ts';

describe('frame batches', () => {
  it.each([
    [1, 8, [[0, 1]]],
    [5, 8, [[0, 5]]],
    [8, 8, [[0, 8]]],
    [13, 8, [[0, 13]]],
    [
      17,
      8,
      [
        [0, 9],
        [9, 17],
      ],
    ],
    [3, 2, [[0, 3]]],
    [
      4,
      2,
      [
        [0, 2],
        [2, 4],
      ],
    ],
    [
      5,
      2,
      [
        [0, 3],
        [3, 5],
      ],
    ],
  ] as const)('%i frames by %i', (frames, size, expected) => {
    expect(frameBatches(frames, size).map(({ start, stop }) => [start, stop])).toEqual(expected);
  });

  it('cover every frame once, and the first takes what is left over', () => {
    for (const size of [2, 8]) {
      for (let frames = 1; frames < 60; frames++) {
        const batches = frameBatches(frames, size);
        expect(batches[0].start).toBe(0);
        expect(batches.at(-1)!.stop).toBe(frames);
        for (const [i, { start, stop }] of batches.entries()) {
          if (i > 0) expect([start, stop - start]).toEqual([batches[i - 1].stop, size]);
        }
      }
    }
  });
});

it('an even batch of latents gives 4f frames, an odd one 4(f − 1) + 1', () => {
  expect([1, 2, 3, 4, 5].map((f) => pixelFrameCount(f, 4))).toEqual([1, 8, 9, 16, 17]);
  expect([1, 8, 9, 13, 10].map((frames) => latentFrameCount(frames, 4))).toEqual([1, 2, 3, 4, 3]);
  expect([latentFrameCount(9, 2), latentFrameCount(9, 1), pixelFrameCount(3, 2)]).toEqual([5, 9, 5]);
});
