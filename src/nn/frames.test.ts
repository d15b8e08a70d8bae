import { expect, it } from 'vitest';
import * as g from '../graph/index.ts';
import { mapFrames, stackFrames, unstackFrames, zipFrames } from './frames.ts';

const [a, b, c] = ['a', 'b', 'c'].map((name) => g.input(name, [1, 2, 3, 4]));

it('a frame that is shown twice is computed once', () => {
  const [first, second, third] = mapFrames([a, a, b], g.silu);
  expect(first).toBe(second);
  expect(third).not.toBe(first);
});

it('a pair that is shown twice is computed once', () => {
  const [first, second, third, fourth] = zipFrames([a, a, a, b], [c, c, b, c], g.add);
  expect(first).toBe(second);
  expect(new Set([first, third, fourth]).size).toBe(3);
});

it('a video is its frames', () => {
  const video = g.input('video', [2, 5, 3, 4, 6]);
  const frames = unstackFrames(video);
  expect(frames.map(({ shape }) => shape)).toEqual(Array.from({ length: 5 }, () => [2, 3, 4, 6]));
  expect(stackFrames(frames).shape).toEqual(video.shape);
});
