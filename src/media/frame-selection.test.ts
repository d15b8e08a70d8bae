import { describe, expect, it } from 'vitest';
import { MediaError } from './errors.ts';
import { selectFrames, wholeLatentFrames } from './frame-selection.ts';

const timesAt = (fps: number, count: number) =>
  Array.from({ length: count }, (_, i) => Math.round((i * 1e6) / fps) / 1e6);
const range = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('wholeLatentFrames', () => {
  it('is the largest 4k + 1 within the count', () => {
    expect([0, 1, 2, 4, 5, 8, 9, 49, 50, 52, 53].map((count) => wholeLatentFrames(count))).toEqual([
      0, 1, 1, 1, 5, 5, 9, 49, 49, 49, 53,
    ]);
    expect(wholeLatentFrames(8, 2)).toBe(7);
  });
});

describe('selectFrames', () => {
  const native = { maxFrames: 49, fps: 'native', temporalRatio: 4 } as const;

  it('native: the first frames as they are, whatever the frame rate', () => {
    expect(selectFrames(timesAt(25, 250), 25, native)).toEqual(range(49));
    expect(selectFrames(timesAt(25, 48), 25, native)).toEqual(range(45));
    expect(selectFrames([0], 1, native)).toEqual([0]);
    expect(selectFrames([], 25, native)).toEqual([]);
  });

  it('resamples to another frame rate by the frame on show', () => {
    const at = (fps: number, maxFrames = 49) => ({ maxFrames, fps, temporalRatio: 4 });
    expect(selectFrames(timesAt(24, 240), 24, at(8, 9))).toEqual([0, 3, 6, 9, 12, 15, 18, 21, 24]);
    expect(selectFrames(timesAt(25, 250), 25, at(10, 5))).toEqual([0, 2, 5, 7, 10]);
    expect(selectFrames(timesAt(8, 5), 8, at(16))).toEqual([0, 0, 1, 1, 2, 2, 3, 3, 4]);
    expect(selectFrames(timesAt(30, 300), 30, at(30))).toEqual(range(49));
    expect(selectFrames(timesAt(30_000 / 1001, 300), 29.97, at(29.97))).toEqual(range(49));
  });

  it('follows the times of a variable frame rate', () => {
    expect(selectFrames([0, 0.5, 0.6, 0.7, 0.8], 5, { maxFrames: 9, fps: 10, temporalRatio: 4 })).toEqual([
      0, 0, 0, 0, 0, 1, 2, 3, 4,
    ]);
  });

  it('never repeats a photo', () => {
    expect(selectFrames([0], 1, { maxFrames: 9, fps: 8, temporalRatio: 4 })).toEqual([0]);
    expect(selectFrames([0], 0, { maxFrames: 9, fps: 8, temporalRatio: 4 })).toEqual([0]);
  });

  it('refuses a frame rate that is none', () => {
    expect(() => selectFrames([0, 1], 1, { maxFrames: 9, fps: 0, temporalRatio: 4 })).toThrow(MediaError);
  });
});
